"""A .pt2 file of `torch.export.save`: it knows its inputs and which of their sizes vary.

Opening one may run code (its sizes are expressions that are evaluated, its example inputs are pickled), so it takes
the user's trust. What the archive says of itself is JSON, and is read without opening it.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exporters.sources.source import Asked, Kind, Source
from exporters.sources.torch_module import TorchModuleRunner
from toolkit import safety
from toolkit.causes import said
from toolkit.errors import BadInput, UnsafeFile
from toolkit.files import digest
from toolkit.signature import BATCH, Dim, Signature, Structure, TensorSpec, flatten, leaves

KINDS = (
    Kind("torch-export", "torch", "exporters.sources.torch_export:open_program",
         "a `.pt2` file of `torch.export.save`", "model.pt2 --trust SHA256"),
)  # fmt: skip

SUFFIX = ".pt2"
_LARGEST = 64 << 20
_UNBOUNDED = 1 << 40  # where torch.export writes a bound that is none


def probe(source: Source, asked: Asked) -> Source | None:
    """By its name."""
    if asked.path.suffix != SUFFIX or not asked.path.is_file():
        return None
    found = digest(asked.path)
    if not safety.trusted(asked.path, asked.trust):
        raise UnsafeFile(
            "a .pt2 archive may run code when PyTorch opens it",
            where=asked.text,
            hint="Export from the model itself, or from its TorchScript file; if the file is your own, allow exactly"
            f" this one: --trust {found[:16]}",
        )
    return replace(source, kind="torch-export", facts={"sha256": found})


@dataclass(frozen=True)
class Content:
    """What an archive says of itself: its operators, its parameters and buffers, and parts that are pickled."""

    operators: Mapping[str, int]
    parameters: int
    pickled: tuple[str, ...]
    version: str


def content(path: Path) -> Content:
    """Read the archive's JSON. Raises BadInput where it is damaged or of another layout."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            model = json.loads(_text(archive, next(name for name in names if name.endswith("models/model.json"))))
            weights = [name for name in names if name.endswith("_weights_config.json")]
            sizes = [entry for name in weights for entry in json.loads(_text(archive, name))["config"].values()]
    except (zipfile.BadZipFile, StopIteration, KeyError, ValueError, OSError, RecursionError) as error:
        raise BadInput(
            "it is no .pt2 archive of torch.export, or a truncated one", where=str(path), hint="Save or copy it again."
        ) from error
    nodes = Counter(str(node["target"]).removeprefix("torch.ops.") for node in model["graph_module"]["graph"]["nodes"])
    version = model.get("schema_version", {})
    return Content(
        dict(nodes.most_common()),
        sum(_elements(entry["tensor_meta"]["sizes"]) for entry in sizes),
        tuple(name for name in names if name.endswith((".pt", ".pkl"))),
        f"{version.get('major', '?')}.{version.get('minor', '?')}",
    )


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST:
        raise ValueError
    return archive.read(name)


def _elements(sizes: list[Mapping[str, Any]]) -> int:
    total = 1
    for size in sizes:
        total *= int(size.get("as_int", 0))
    return total


def open_program(source: Source, device: str, threads: int | None) -> ProgramRunner:
    return ProgramRunner(source, device, threads)


class ProgramRunner(TorchModuleRunner):
    """An exported program, run as the module that it makes."""

    def __init__(self, source: Source, device: str, threads: int | None) -> None:
        super().__init__(source, self._load, device, threads)

    def _load(self, torch: Any) -> tuple[Any, Any]:
        try:
            program = torch.export.load(self.source.path)
        except Exception as error:
            raise BadInput(
                f"PyTorch cannot open it ({said(error)})",
                where=self.source.path,
                hint="It is damaged, or of a newer PyTorch.",
            ) from error
        if not self.source.inputs:
            self.own_inputs = _signature(torch, program)
        return program.module(check_guards=False), None

    def _evaluated(self, module: Any) -> Any:
        return module  # the mode is part of a program, and cannot be switched


def _signature(torch: Any, program: Any) -> Signature:
    """The inputs as the program has them; a size that varies is called after its first place."""
    given = [node for node in program.graph.nodes if node.op == "placeholder"]
    users = [node.meta["val"] for node in given if node.name in program.graph_signature.user_inputs]
    pytree = torch.utils._pytree  # noqa: SLF001 - PyTorch has no other name for it
    args, kwargs = pytree.tree_unflatten(users, program.call_spec.in_spec)
    parameters = list(_positional(program))
    named = {(parameters[i] if i < len(parameters) else f"input_{i}"): value for i, value in enumerate(args)} | kwargs
    structures: dict[str, Structure] = {}
    flat: dict[str, Any] = {}
    for name, value in named.items():
        part, found = flatten({name: value}, name, is_leaf=lambda item: isinstance(item, torch.Tensor))
        assert isinstance(part, dict)
        structures[name] = part[name]
        flat |= found
    names: dict[str, str] = {}
    specs = tuple(_spec(name, flat[name], names) for name in leaves(list(structures.values())))
    limits = tuple(sorted(_limits(program, names)))
    structure: Structure = dict(structures) if kwargs else list(structures.values())
    return Signature(specs, (), structure, None, limits)


def _positional(program: Any) -> Iterator[str]:
    """The names of the user's own arguments, which the placeholders bear."""
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs:
            yield str(node.name)


def _spec(name: str, tensor: Any, names: dict[str, str]) -> TensorSpec:
    dims: list[Dim] = []
    for axis, size in enumerate(tensor.shape):
        if isinstance(size, int):
            dims.append(size)
            continue
        free = BATCH if axis == 0 and BATCH not in names.values() else f"{name.replace('.', '_')}_{axis}"
        dims.append(names.setdefault(str(size), free))
    return TensorSpec(name, str(tensor.dtype).removeprefix("torch."), tuple(dims))


def _limits(program: Any, names: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for symbol, bounds in program.range_constraints.items():
        largest = int(bounds.upper) if bounds.upper.is_number and bounds.upper.is_finite else _UNBOUNDED
        if str(symbol) in names and largest < _UNBOUNDED:
            yield names[str(symbol)], largest

"""Weights alone, put into what a factory builds: a state_dict, a checkpoint around one, safetensors.

Trainers wrap what they save: the tensors lie under a key of the checkpoint ("state_dict", "model", ...), and their
names begin with the attribute that held the model ("model.", "module.", "_orig_mod."). Both are found by what fits:
every tensor of the model must be there, and what is left over is told.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exporters.sources import by_name, pickles, torch_pickle
from exporters.sources.source import Asked, Kind, Source, require_factory
from exporters.sources.torch_module import TorchModuleRunner
from toolkit.causes import said
from toolkit.errors import BadInput

KINDS = (
    Kind("torch-weights", "torch", "exporters.sources.torch_weights:open_weights",
         "a `state_dict`, a checkpoint around one (Lightning, DistributedDataParallel, ...), safetensors",
         "weights.pt --factory package.module:callable"),
)  # fmt: skip

_SUFFIX = ".safetensors"
_PROBES = 8
_LARGE = 1 << 20  # bytes
# Where checkpoints keep their weights, the most usual first.
_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params", "ema")


def probe(source: Source, asked: Asked) -> Source | None:
    """A safetensors file, or a pickle of nothing but tensors; any checkpoint where the user names a factory."""
    if asked.path.suffix == _SUFFIX and asked.path.is_file():
        require_factory(source)
        return replace(source, kind="torch-weights")
    content = pickles.content(asked.path) if asked.path.is_file() else None
    if content is None or not (content.holds_only_weights or source.factory):
        return None
    require_factory(source)
    facts = {} if content.holds_only_weights else {"sha256": torch_pickle.require_trust(asked, content.code)}
    return replace(source, kind="torch-weights", facts=facts)


def open_weights(source: Source, device: str, threads: int | None) -> TorchModuleRunner:
    runner = TorchModuleRunner(source, lambda torch: _with_weights(torch, source, notes), device, threads)
    notes = runner.notes
    return runner


@dataclass(frozen=True)
class Fit:
    """Tensors of a checkpoint under the model's names; `place` says where they lay, `left` what else lay there."""

    tensors: Mapping[str, Any]
    place: str
    left: tuple[str, ...]


def _with_weights(torch: Any, source: Source, notes: list[str]) -> tuple[Any, Any]:
    assert source.factory is not None
    assert source.path is not None
    module, example = by_name.build_any(source.factory, source.search)
    loaded = torch_pickle.unpickle(torch, source) if "sha256" in source.facts else load(torch, Path(source.path))
    if isinstance(loaded, torch.nn.Module):
        loaded = loaded.state_dict()
    fits = list(_fits(torch, loaded, wanted(module)))
    if not fits:
        raise BadInput(
            f"the weights do not fit the model of {source.factory} ({_misfit(torch, loaded, module)})",
            where=source.path,
        )
    best = fits[0]
    try:
        module.load_state_dict(_without_large(module, best.tensors), strict=False)
    except RuntimeError as error:
        details = " ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise BadInput(
            f"the weights do not fit the model of {source.factory} ({details[:300]})", where=source.path
        ) from error
    notes += _told(best, fits[1:])
    return module, example


def _without_large(module: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """What is left to be copied once the large tensors are the module's own, as pages of their file."""
    left = dict(tensors)
    for name, ours in module.state_dict(keep_vars=True).items():
        theirs = tensors.get(name)
        if theirs is not None and ours.nbytes >= _LARGE and (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape):
            ours.data = theirs
            del left[name]
    return left


def wanted(module: Any) -> dict[str, tuple[str, ...]]:
    """The names that weights must have, each with the other names of the same tensor: one of them is enough."""
    state = module.state_dict(keep_vars=True)
    names: dict[int, list[str]] = {}
    for name, tensor in state.items():
        names.setdefault(id(tensor), []).append(name)
    return {name: tuple(names[id(tensor)]) for name, tensor in state.items()}


def load(torch: Any, path: Path) -> Any:
    """What a file holds that can hold nothing but data. Raises BadInput for a damaged one."""
    try:
        if path.suffix == _SUFFIX:
            from safetensors.torch import load_file

            return load_file(path)
        # Mapped, so that weights are in memory when they are used; files of before PyTorch 1.6 cannot be.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        raise BadInput(f"PyTorch cannot read its weights ({said(error)})", where=str(path)) from error


def _fits(torch: Any, loaded: Any, names: Mapping[str, tuple[str, ...]]) -> Iterator[Fit]:
    """Every place in a checkpoint whose tensors are all that the model needs."""
    for place, tensors in _containers(torch, loaded):
        for prefix in _prefixes(tensors, names):
            found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            kept = {name: tensor for name, tensor in found.items() if name in names}
            complete = all(any(other in kept for other in same) for same in names.values())
            # Names that are left over under the model's own prefix belong to another model.
            if complete and len(kept) == len(found):
                left = tuple(name for name in tensors if not name.startswith(prefix))
                yield Fit(kept, " ".join(filter(None, [place, prefix and f"'{prefix}*'"])), left)


def _containers(torch: Any, loaded: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The dictionaries of tensors in a checkpoint: itself, then those under its keys, the usual ones first."""
    if not isinstance(loaded, Mapping):
        return
    keys = sorted((key for key in loaded if isinstance(loaded[key], Mapping | torch.nn.Module)), key=_usual)
    for place, value in (("", loaded), *((f"'{key}'", loaded[key]) for key in keys)):
        state = value.state_dict() if isinstance(value, torch.nn.Module) else value
        tensors = {str(name): item for name, item in state.items() if isinstance(item, torch.Tensor)}
        if tensors:
            yield place, tensors


def _usual(key: Any) -> int:
    return _KEYS.index(key) if key in _KEYS else len(_KEYS)


def _prefixes(tensors: Mapping[str, Any], names: Mapping[str, Any]) -> list[str]:
    """What the names of the tensors begin with before a name of the model's; the empty prefix first."""
    probes = list(names)[:_PROBES]  # several, for the first may be missing where another name of its tensor is there
    found = {name.removesuffix(probe) for name in tensors for probe in probes if name.endswith(f".{probe}")}
    return ["", *sorted(found, key=len)]


def _misfit(torch: Any, loaded: Any, module: Any) -> str:
    """What is missing and what is not known, for the place in the checkpoint that comes nearest."""
    names = set(module.state_dict())
    places = [tensors for _, tensors in _containers(torch, loaded)]
    if not places:
        return "it holds no tensors by name"
    nearest = max(places, key=lambda tensors: len(names & set(tensors)))
    missing, extra = sorted(names - set(nearest)), sorted(set(nearest) - names)
    parts = [("missing", missing), ("not known", extra)]
    return "; ".join(f"{words}: {_some(found)}" for words, found in parts if found)


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _told(best: Fit, others: list[Fit]) -> list[str]:
    notes = []
    if best.place:
        notes.append(f"the weights were taken from {best.place} of the checkpoint")
    if best.left:
        notes.append(f"not the model's, left out: {_some(list(best.left))}")
    if others:
        notes.append(f"the checkpoint holds other weights that would fit: {', '.join(o.place for o in others)}")
    return notes

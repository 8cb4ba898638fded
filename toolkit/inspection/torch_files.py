"""PyTorch's files: TorchScript, pickles of weights and of models, .pt2, safetensors, transformers folders."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from exporters.sources import pickled_tensors, pickles, torch_export, transformers_folder
from toolkit import metadata, safety
from toolkit.errors import BadInput
from toolkit.inspection.found import SAFE, Inspection, product, size_of, words

_LARGEST = 64 << 20
_NEEDS = {"needs": "--factory package.module:callable"}
_CALL = re.compile(r"\b(?:torch|ops\.\w+)\.([A-Za-z_]\w*)\(")


def torchscript(path: Path) -> Inspection:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        extra = next((name for name in names if name.endswith(f"extra/{metadata.FILE}")), None)
        declared = metadata.loads(archive.read(extra) if extra else None)
        code = tuple(name for name in names if "/code/" in name and name.endswith(".py"))
        version = next((archive.read(name) for name in names if name.endswith(("/version", ".data/version"))), b"?")
    calls = Counter(name for text in _code(path, code) for name in _CALL.findall(text) if name != "annotate")
    return Inspection(
        path, "torchscript", size_of(path), words(safety.findings(path, "torchscript")),
        f"PyTorch (archive version {version.decode(errors='replace').strip()})", declared[0] if declared else None,
        declared[1].labels if declared else (), operators=dict(calls.most_common()), code=code,
    )  # fmt: skip


def _code(path: Path, names: tuple[str, ...]) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name).decode(errors="replace") for name in names
                if archive.getinfo(name).file_size < _LARGEST]  # fmt: skip


def pickled(path: Path, content: pickles.Content) -> Inspection:
    if not content.holds_only_weights:
        return Inspection(
            path, "pickled PyTorch model", size_of(path), "runs code when it is opened", "PyTorch", code=content.code
        )
    found = pickled_tensors.read(path)
    if found is None:
        return Inspection(path, "PyTorch weights (a state_dict)", size_of(path), SAFE, "PyTorch", facts=_NEEDS)
    kind = "PyTorch weights (a state_dict)" if not found.wrapped else "PyTorch checkpoint"
    writer = f"Lightning {found.lightning}, PyTorch" if found.lightning else "PyTorch"
    facts = {**({"holds": ", ".join(found.keys)} if found.wrapped else {}), **_NEEDS}
    return Inspection(path, kind, size_of(path), SAFE, writer, parameters=found.parameters, facts=facts)


def program(path: Path) -> Inspection:
    found = torch_export.content(path)
    return Inspection(
        path, "torch.export program", size_of(path), "may run code when it is opened (needs --trust)",
        f"PyTorch (schema {found.version})", parameters=found.parameters, operators=found.operators, code=found.pickled,
    )  # fmt: skip


def safetensors(path: Path) -> Inspection:
    header = _header(path)
    about = header.pop("__metadata__", {})
    dtypes = Counter(str(entry["dtype"]) for entry in header.values())
    facts = {"tensors": ", ".join(f"{count} {dtype}" for dtype, count in dtypes.most_common()), **_NEEDS}
    facts |= {str(key): str(value)[:200] for key, value in about.items()}
    total = sum(product(entry["shape"]) for entry in header.values())
    return Inspection(path, "safetensors", size_of(path), SAFE, parameters=total, facts=facts)


def _header(path: Path) -> dict[str, Any]:
    """The table of tensors at the beginning of a file. Raises BadInput where it is not one."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            if length > _LARGEST:
                raise ValueError
            found: dict[str, Any] = json.loads(file.read(length))
            if not all("shape" in entry for name, entry in found.items() if name != "__metadata__"):
                raise ValueError
        except (ValueError, TypeError, RecursionError):
            raise BadInput(
                "it is no safetensors file, or a truncated one", where=str(path), hint="Save or copy it again."
            ) from None
    return found


def transformers(path: Path) -> Inspection:
    config = transformers_folder.read_config(path) or {}
    own = [str(value) for value in (config.get("auto_map") or {}).values()]
    weights = sorted(path.glob("*.safetensors"))
    total = sum(product(e["shape"]) for file in weights for n, e in _header(file).items() if n != "__metadata__")
    code = own + [name for file in path.glob("*.bin") for name in _globals(file)]
    return Inspection(
        path, "transformers folder", size_of(path), "runs code when it is opened" if code else SAFE,
        f"transformers {config.get('transformers_version', '?')}", parameters=total or None, code=tuple(code),
        facts={"model": ", ".join(map(str, config.get("architectures") or ["?"])), "type": str(config["model_type"])},
    )  # fmt: skip


def _globals(path: Path) -> tuple[str, ...]:
    content = pickles.content(path)
    return content.code if content is not None else ()

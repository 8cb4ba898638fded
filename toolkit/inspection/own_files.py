"""What this toolkit itself has left: bundles, and trained folders."""

from __future__ import annotations

from pathlib import Path

from toolkit import artifact, files, manifest, safety
from toolkit.inspection.found import SAFE, Inspection, size_of, words

_CODE = ("torchscript", "savedmodel", "tflite")


def bundle(path: Path) -> Inspection:
    found = manifest.check(path)
    facts = {name: f"{file}, {files.describe_size(size_of(path / file))}" for name, file in found.formats.items()}
    facts |= {"source": str(found.source.get("name")), "verified": _verified(found), "files": "all as exported"}
    writer = f"toolkit {found.versions.get('toolkit', '?')}, {found.created}"
    code = tuple(file for name, file in found.formats.items() if name in _CODE)
    found_unsafe = [
        text for name in _CODE if name in found.formats for text in safety.findings(path / found.formats[name], name)
    ]
    safe = words(found_unsafe) if code else SAFE
    return Inspection(
        path, "bundle", size_of(path), safe, writer, found.signature, found.contract.labels, code=code, facts=facts
    )


def _verified(found: manifest.Manifest) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in found.verification.get("counts", {}).items())
    return f"{counts}; {found.verification.get('inputs', '')}"


def trained(path: Path) -> Inspection:
    found = artifact.load(path)
    facts = dict(found.files) | {str(k): str(v) for k, v in found.facts.items()}
    return Inspection(
        path, f"trained {found.format} model", size_of(path), SAFE, None, found.signature, found.contract.labels,
        code=(found.factory,) if found.factory else (), facts=facts,
    )  # fmt: skip

"""A model on disk: where it is, what kind of file it is, and its signature. Trainers and exporters meet here.

A trainer's folder holds `artifact.json` (the sidecar) beside the files it names, so that the folder itself is a source:
`toolkit export runs/fashion --to all`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.contract import Contract
from toolkit.errors import BadInput
from toolkit.signature import Signature

SIDECAR = "artifact.json"
SCHEMA = 1


@dataclass(frozen=True)
class Artifact:
    """A file or folder, its format, and what is known of the model in it.

    `format` names a kind of source: "torch", "keras" or "tensorflow" for a trainer's folder, or a file format.
    `factory` ("package.module:callable") rebuilds the architecture where the file holds weights alone.
    `files` maps a role ("weights", "model", "saved_model", ...) to a path relative to `path`.
    """

    path: Path
    format: str
    signature: Signature
    contract: Contract = field(default_factory=Contract)
    factory: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def file(self, role: str) -> Path:
        return self.path / self.files[role]

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "format": self.format,
            "signature": self.signature.to_json(),
            "contract": self.contract.to_json(),
            "factory": self.factory,
            "files": dict(self.files),
            "facts": dict(self.facts),
        }

    def save(self) -> Path:
        """Write the sidecar into the artifact's folder; the only artifacts with one are folders."""
        sidecar = self.path / SIDECAR
        sidecar.write_text(json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return sidecar

    @staticmethod
    def from_json(path: Path, data: Mapping[str, Any]) -> Artifact:
        return Artifact(
            path,
            str(data["format"]),
            Signature.from_json(data["signature"]),
            Contract.from_json(data["contract"]),
            data.get("factory"),
            dict(data.get("files", {})),
            dict(data.get("facts", {})),
        )


def load(folder: Path) -> Artifact:
    """Read the sidecar of a trainer's folder. Raises BadInput where it is missing, damaged or newer than this code."""
    sidecar = folder / SIDECAR
    try:
        data = json.loads(sidecar.read_text(encoding="utf-8"))
        if data["schema"] <= SCHEMA:
            return Artifact.from_json(folder, data)
    except FileNotFoundError:
        raise BadInput("the folder holds no artifact.json", where=str(folder)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BadInput) as error:
        what = error.found if isinstance(error, BadInput) else repr(error)
        raise BadInput(f"the file is damaged ({what})", where=str(sidecar), hint="Train again.") from None
    raise BadInput(
        f"it was written by a newer toolkit (schema {data['schema']}; this one reads {SCHEMA})",
        where=str(sidecar),
        hint="Upgrade the toolkit.",
    )

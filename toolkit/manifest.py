"""manifest.json: what a bundle holds, where it came from, and how it was verified.

The manifest lists every file with its size and SHA-256; whoever opens a bundle re-hashes it first, so that a flipped
bit, an edited, a missing or an extra file is noticed before a runtime loads it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.contract import Contract
from toolkit.errors import BadInput
from toolkit.files import files_below, sha256
from toolkit.signature import Signature

NAME = "manifest.json"
SIGNED_CERTIFICATE = "certificate.dsse.json"  # signs what the manifest lists, so that the manifest cannot list it
_UNLISTED = {NAME, SIGNED_CERTIFICATE}
SCHEMA = 1


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.json.

    `formats` maps a format's name to its path in the bundle; `files` maps every path (POSIX, relative) to its size in
    bytes and SHA-256. `names` holds, for formats that forbid some, what an input is called there instead of its own
    name; the run-time loader knows. `source` describes what was exported; `verification` sums up the verdicts.
    """

    signature: Signature
    contract: Contract
    formats: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]
    source: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    verification: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        """In how many bits its files compute: "fp32" unless it was exported otherwise."""
        return str(self.options.get("precision", "fp32"))

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "created": self.created,
            "signature": self.signature.to_json(),
            "contract": self.contract.to_json(),
            "formats": dict(self.formats),
            "names": {name: dict(table) for name, table in self.names.items()},
            "files": {path: dict(entry) for path, entry in sorted(self.files.items())},
            "source": dict(self.source),
            "options": dict(self.options),
            "versions": dict(self.versions),
            "verification": dict(self.verification),
        }

    def save(self, folder: Path) -> None:
        text = json.dumps(self.to_json(), indent=2, allow_nan=False, sort_keys=False)
        (folder / NAME).write_text(text + "\n", encoding="utf-8")


def timestamp() -> str:
    """UTC now in ISO 8601, or SOURCE_DATE_EPOCH where it is set, so that a build can be repeated to the byte."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(given or time.time())))
    except (ValueError, OverflowError, OSError):
        raise BadInput(
            f"'{given}' is not a number of seconds", where="SOURCE_DATE_EPOCH", hint="Unset it, or give Unix time."
        ) from None


def list_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file of a bundle but the manifest itself and a signature."""
    return {
        file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "sha256": sha256(file)}
        for file in files_below(folder)
        if file.relative_to(folder).as_posix() not in _UNLISTED
    }


def load(folder: Path) -> Manifest:
    """Read a bundle's manifest without checking its files. Raises BadInput where it is missing, damaged or too new."""
    path = folder / NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] <= SCHEMA:
            return _read(data)
    except FileNotFoundError:
        raise BadInput("the folder holds no manifest.json", where=str(folder), hint="Export the model again.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BadInput) as error:
        what = error.found if isinstance(error, BadInput) else repr(error)
        raise BadInput(f"the file is damaged ({what})", where=str(path), hint="Export the model again.") from None
    raise BadInput(
        f"it was written by a newer toolkit (schema {data['schema']}; this one reads {SCHEMA})",
        where=str(path),
        hint="Upgrade the toolkit.",
    )


def _read(data: Mapping[str, Any]) -> Manifest:
    """The manifest from its JSON; a format must be one of the files that are listed, or a folder of them."""
    files = {str(name): {"size": int(e["size"]), "sha256": str(e["sha256"])} for name, e in data["files"].items()}
    for path in data["formats"].values():
        if path not in files and not any(name.startswith(f"{path}/") for name in files):
            raise BadInput(f"'{path}' is none of the files that it lists")
    return Manifest(
        Signature.from_json(data["signature"]),
        Contract.from_json(data["contract"]),
        dict(data["formats"]),
        files,
        data["source"],
        data["options"],
        data["versions"],
        data["verification"],
        data["created"],
        data.get("names", {}),
    )


def check(folder: Path) -> Manifest:
    """Read the manifest and re-hash every file. Raises BadInput naming the first that is not as it was exported."""
    manifest = load(folder)
    present = {file.relative_to(folder).as_posix() for file in files_below(folder)} - _UNLISTED
    for path, entry in manifest.files.items():
        if path not in present:
            raise _tampered(folder, path, "is missing")
        size = (folder / path).stat().st_size
        if size != entry["size"]:
            raise _tampered(folder, path, f"has {size} bytes where the export had {entry['size']}")
        if sha256(folder / path) != entry["sha256"]:
            raise _tampered(folder, path, "was changed since the export (SHA-256 differs)")
    extra = sorted(present - set(manifest.files))
    if extra:
        raise _tampered(folder, extra[0], "is not in the manifest")
    return manifest


def _tampered(folder: Path, path: str, what: str) -> BadInput:
    return BadInput(f"the file {what}", where=str(folder / path), hint="Copy or export the bundle again.")

"""The signature and contract of a model as they travel inside its file, in whatever place a format has for them.

ONNX: `metadata_props["toolkit"]`; TorchScript: the extra file `toolkit.json`; SavedModel: `assets.extra/toolkit.json`;
HDF5: the root attribute `toolkit`; .keras: the archive's member `toolkit.json`; LiteRT: that member of an archive
behind the model's own bytes, where its metadata goes by convention. One JSON text everywhere, so that another language
can read it as easily as we do.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from toolkit.contract import Contract
from toolkit.errors import BadInput
from toolkit.signature import Signature

KEY = "toolkit"
FILE = "toolkit.json"
SCHEMA = 1


def dumps(signature: Signature, contract: Contract) -> str:
    data = {"schema": SCHEMA, "signature": signature.to_json(), "contract": contract.to_json()}
    return json.dumps(data, allow_nan=False, separators=(",", ":"))


def loads(text: str | bytes | None) -> tuple[Signature, Contract] | None:
    """What a file says of itself; None where it says nothing, or nothing that this version can read."""
    try:
        data = json.loads(text or "null")
        if not isinstance(data, dict) or data.get("schema", 0) > SCHEMA:
            return None
        return Signature.from_json(data["signature"]), Contract.from_json(data["contract"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BadInput):
        return None


LARGEST = 1 << 24  # bytes; no signature is as long


def of_archive(path: Path) -> bytes | None:
    """The text in a file that is a zip archive, or ends in one; None where there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(FILE) if archive.getinfo(FILE).file_size <= LARGEST else None
    except (zipfile.BadZipFile, KeyError):
        return None


def add_to_archive(path: Path, text: str) -> None:
    """Put the text into an archive, or behind a file of another kind; the same text gives the same bytes."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(FILE), text)

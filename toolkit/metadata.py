"""The signature and contract of a model as they travel inside its file, in whatever place a format has for them.

ONNX: `metadata_props["toolkit"]`; TorchScript: the extra file `toolkit.json`; SavedModel: `assets.extra/toolkit.json`;
HDF5: the root attribute `toolkit`. One JSON text everywhere, so that another language can read it as easily as we do.
"""

from __future__ import annotations

import json

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

"""certificate.json: an in-toto Statement that these very files were shown to predict what their source predicts.

Its subjects are the bundle's files with their SHA-256, its predicate says what was compared with what, how, and with
which result. `certificate.dsse.json`, where there is one, is the same statement in a signed DSSE envelope. Both can be
checked without a framework; `toolkit verify BUNDLE` proves the content anew.

Specifications: https://in-toto.io/Statement/v1 and https://github.com/secure-systems-lab/dsse
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import manifest
from toolkit.errors import BadInput, RuntimeMissing, UnsafeFile
from toolkit.files import replacing

if TYPE_CHECKING:
    from toolkit.manifest import Manifest

NAME = "certificate.json"
SIGNED = manifest.SIGNED_CERTIFICATE
PREDICATE = "https://model-toolkit.dev/equivalence/v1"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PAYLOAD = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Certificate:
    """What a checked certificate says; `signed_by` names the key, None where no signature was asked for."""

    files: int
    rows: int
    passed: bool
    source: str
    created: str
    signed_by: str | None = None


def write(folder: Path, listed: Manifest, report: Mapping[str, Any]) -> None:
    """Write the statement about a bundle's files as `listed`; `report` is the verification's in JSON's types."""
    statement = {
        "_type": _STATEMENT,
        "subject": [
            {"name": path, "digest": {"sha256": entry["sha256"]}} for path, entry in sorted(listed.files.items())
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "created": listed.created,
            "source": dict(listed.source),
            "signature": listed.signature.to_json(),
            "options": dict(listed.options),
            "versions": dict(listed.versions),
            "environment": report["environment"],
            "reference": report["reference"],
            "inputs": report["coverage"],
            "thresholds": report["thresholds"],
            "passed": report["passed"],
            "rows": [_row(row) for row in report["rows"]],
        },
    }
    text = json.dumps(statement, indent=2, sort_keys=True, allow_nan=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was found of one file on one device; times are a machine's, not the file's, and stay out."""
    kept = ("format", "path", "device", "ran_on", "runtime", "sha256", "verdict", "reason", "lenses")
    figures = ("name", "noise_ratio", "worst_ratio", "max_abs", "agree", "ties", "count", "identical")
    outputs = [{key: output[key] for key in figures} for output in row["outputs"]]
    return {**{key: row[key] for key in kept}, "outputs": outputs}


def check(folder: Path, key: Path | None = None) -> Certificate:
    """Re-hash a bundle's files, compare them with its certificate, and check its signature with a public key.

    Raises BadInput where a file is not as it was certified, UnsafeFile where the signature is missing or another's.
    """
    listed = manifest.check(folder)
    content = (folder / NAME).read_bytes() if NAME in listed.files else None
    if content is None:
        raise BadInput("the bundle has no certificate", where=str(folder), hint="Export the model again.")
    signed_by = _verified(folder, content, key) if key is not None else None
    try:
        return _checked(folder, listed, json.loads(content), signed_by)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"the certificate is damaged ({error!r})", where=str(folder / NAME)) from None


def _checked(folder: Path, listed: Manifest, statement: Mapping[str, Any], signed_by: str | None) -> Certificate:
    if statement["predicateType"] != PREDICATE:
        raise BadInput(
            f"its certificate is of another kind ({statement['predicateType']!r})",
            where=str(folder),
            hint=f"This toolkit reads {PREDICATE}.",
        )
    certified = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    present = {path: entry["sha256"] for path, entry in listed.files.items() if path != NAME}
    for path in sorted(certified.keys() | present.keys()):
        if certified.get(path) != present.get(path):
            raise BadInput("the file is not the one that was certified", where=str(folder / path))
    said = statement["predicate"]
    verdicts = [row["verdict"] for row in said["rows"]]
    passed = "PASS" in verdicts and set(verdicts) <= {"PASS", "NOT RUN"}
    return Certificate(len(certified), len(said["rows"]), passed, said["source"]["name"], said["created"], signed_by)


def sign(folder: Path, key: Path) -> str:
    """Sign a bundle's certificate with a private key (PEM) and return the key's id. The bundle is checked first."""
    check(folder)
    library = _library()
    try:
        signer = library.signer.CryptoSigner(_pem(library, key, private=True))
    except (ValueError, TypeError) as error:
        raise _no_key(key, private=True) from error
    envelope = library.dsse.Envelope((folder / NAME).read_bytes(), _PAYLOAD, {})
    envelope.sign(signer)
    with replacing(folder / SIGNED) as staged:
        staged.write_text(json.dumps(envelope.to_dict(), indent=2) + "\n", encoding="utf-8")
    return str(signer.public_key.keyid)


def _verified(folder: Path, content: bytes, key: Path) -> str:
    """The id of the key that signed exactly this content."""
    library = _library()
    path = folder / SIGNED
    if not path.is_file():
        raise UnsafeFile("the certificate is not signed", where=str(folder), hint="toolkit sign BUNDLE --key KEY.pem")
    try:
        public = library.signer.SSlibKey.from_crypto(_pem(library, key, private=False))
    except (ValueError, TypeError) as error:
        raise _no_key(key, private=False) from error
    try:
        envelope = library.dsse.Envelope.from_dict(json.loads(path.read_text(encoding="utf-8")))
        if envelope.payload_type == _PAYLOAD and envelope.payload == content:
            return str(next(iter(envelope.verify([public], 1))))
        why = "it signs another certificate"
    except library.VerificationError:
        why = "it is of another key"
    except (ValueError, KeyError, TypeError, AttributeError):
        why = "it is damaged"
    raise UnsafeFile(f"the signature does not hold: {why}", where=str(path), hint="Ask who exported the bundle.")


def _pem(library: Any, path: Path, *, private: bool) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"cannot be read: {error.strerror}", where=str(path), hint="Name a key in PEM format."
        ) from error
    if private:
        return library.serialization.load_pem_private_key(content, None)
    return library.serialization.load_pem_public_key(content)


def _no_key(path: Path, *, private: bool) -> BadInput:
    kind = "private" if private else "public"
    return BadInput(
        f"it is no {kind} key that can be used",
        where=str(path),
        hint="Make a pair: openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout.",
    )


def _library() -> Any:
    """The signing library's parts under one roof. Raises RuntimeMissing where it is not installed."""
    from types import SimpleNamespace

    try:
        from cryptography.hazmat.primitives import serialization
        from securesystemslib import dsse, signer
        from securesystemslib.exceptions import VerificationError
    except ImportError as error:
        raise RuntimeMissing(
            "securesystemslib is not installed", where="signatures", hint="pip install 'model-toolkit[sign]'"
        ) from error
    return SimpleNamespace(dsse=dsse, signer=signer, serialization=serialization, VerificationError=VerificationError)

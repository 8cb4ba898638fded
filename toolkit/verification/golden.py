"""golden.safetensors: inputs and what the source made of them, so that a bundle can be proved without its source."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import files
from toolkit.errors import BadInput
from toolkit.verification.plan import Batch

NAME = "golden.safetensors"
_LARGEST = 32_000_000
_SIDES = ("inputs", "source", "truth")

Array = np.ndarray[Any, Any]
Outputs = list[dict[str, Array]]


@dataclass(frozen=True)
class Golden:
    """Batches with the source's outputs in its own precision and in float64 (`truth`)."""

    batches: tuple[Batch, ...]
    source: Outputs
    truth: Outputs
    description: dict[str, Any]
    conditions: Mapping[int, Mapping[str, Array]] = field(default_factory=dict)


def save(path: Path, golden: Golden) -> None:
    """Write as many of the batches as fit into 32 MB, first ones first.

    The format has no strings: arrays of them are lists in the note.
    """
    from safetensors.numpy import save_file

    tensors: dict[str, Array] = {}
    texts: dict[str, Any] = {}
    kept: list[dict[str, Any]] = []
    total = 0
    for index, batch in enumerate(golden.batches):
        sides = dict(zip(_SIDES, (batch.inputs, golden.source[index], golden.truth[index]), strict=True))
        named = {f"{index}/{side}/{name}": array for side, arrays in sides.items() for name, array in arrays.items()}
        total += sum(array.nbytes for array in named.values())
        if kept and total > _LARGEST:
            break
        texts |= {name: _plain(array.tolist()) for name, array in named.items() if array.dtype.kind == "O"}
        tensors |= {name: np.asarray(array, order="C") for name, array in named.items() if name not in texts}
        kept.append({"kind": batch.kind, "size": batch.size})
    # One note: safetensors writes several in no fixed order, and the same export would not give the same bytes.
    note: dict[str, Any] = {"batches": kept, "description": golden.description}
    conditions = {i: golden.conditions[i] for i in sorted(golden.conditions) if i < len(kept)}
    if conditions:
        note["conditions"] = {i: {name: found.tolist() for name, found in c.items()} for i, c in conditions.items()}
    if texts:
        note["texts"] = texts
    notes = {"golden": json.dumps(note)}
    save_file(tensors, path, metadata=notes)
    path.chmod(0o666 & ~files.umask())  # it makes files that only their owner can read


def _plain(texts: Any) -> Any:
    """Nested lists of strings; TensorFlow gives bytes."""
    if isinstance(texts, list):
        return [_plain(text) for text in texts]
    return texts.decode(errors="surrogateescape") if isinstance(texts, bytes) else texts


def load(path: Path) -> Golden:
    """Read what `save` wrote. Raises BadInput where it is missing or damaged."""
    import ml_dtypes  # noqa: F401 - with it NumPy knows a bfloat16 by name, which safetensors asks for
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            notes = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"it cannot be read ({error})", where=str(path), hint="Copy or export the bundle again."
        ) from error
    try:
        note = json.loads(notes["golden"])
        arrays |= {name: np.array(texts, object) for name, texts in note.get("texts", {}).items()}
        conditions = {
            int(i): {name: np.array(found, np.float64) for name, found in each.items()}
            for i, each in note.get("conditions", {}).items()
        }
        return replace(_arranged(arrays, note["batches"], note["description"]), conditions=conditions)
    except (TypeError, KeyError, ValueError) as error:
        raise BadInput(
            f"it does not say what is in it ({error!r})", where=str(path), hint="Copy or export the bundle again."
        ) from error


def _arranged(arrays: dict[str, Array], listed: Sequence[dict[str, Any]], description: dict[str, Any]) -> Golden:
    if not listed:
        raise ValueError("no inputs")
    sides: dict[str, Outputs] = {side: [] for side in _SIDES}
    for index in range(len(listed)):
        for side in _SIDES:
            prefix = f"{index}/{side}/"
            sides[side].append({name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)})
    batches = tuple(
        Batch(item["kind"], inputs, item["size"]) for item, inputs in zip(listed, sides["inputs"], strict=True)
    )
    return Golden(batches, sides["source"], sides["truth"], description)

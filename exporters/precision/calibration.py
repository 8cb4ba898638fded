"""The inputs from which int8 learns its ranges: a user's rows, as batches in a file that workers read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def save(path: Path, batches: Sequence[Mapping[str, Array]]) -> None:
    named: dict[str, Any] = {
        f"{index}/{name}": array for index, each in enumerate(batches) for name, array in each.items()
    }
    with path.open("wb") as stream:
        np.savez(stream, **named)


def load(path: Path) -> list[dict[str, Array]]:
    batches: dict[int, dict[str, Array]] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            index, _, name = key.partition("/")
            batches.setdefault(int(index), {})[name] = file[key]
    return [batches[index] for index in sorted(batches)]

"""One file from which an interrupted run goes on: arrays, the history so far and the options, written atomically.

Framework-free (numpy only), and never pickled.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit import files
from toolkit.errors import BadInput
from trainers.options import FREE_ON_RESUME, TrainOptions

State = dict[str, NDArray[Any]]

_META, _STATE, _BEST = "meta", "state/", "best/"


@dataclass(frozen=True)
class Progress:
    """What a checkpoint holds: the learner's state, the best epoch's weights (may be empty), the history's rows."""

    state: State
    best: State
    epochs: list[dict[str, Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint of the run that writes to `output`: a file beside it, so that it outlives a crash."""

    output: Path

    @property
    def path(self) -> Path:
        return self.output.with_name(self.output.name + ".checkpoint.npz")

    def write(self, state: State, best: State, epochs: Sequence[Mapping[str, Any]], options: TrainOptions) -> None:
        """Replace the checkpoint in one step. Raises NotWritable or DiskFull."""
        meta = json.dumps({"options": options.to_json(), "epochs": list(epochs)}).encode()
        arrays = {_STATE + name: value for name, value in state.items()}
        arrays |= {_BEST + name: value for name, value in best.items()}
        with files.replacing(self.path) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **{_META: np.frombuffer(meta, np.uint8)}, **arrays)

    def read(self, options: TrainOptions) -> Progress | None:
        """What was reached, or None where there is no checkpoint.

        Raises BadInput where the file is damaged or belongs to a run with other options.
        """
        if not self.path.exists():
            return None
        try:
            # Opened here: NumPy leaves a file open that turns out to be no archive.
            with self.path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
                meta = json.loads(file[_META].tobytes())
                arrays = {name: file[name] for name in file.files if name != _META}
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise BadInput(
                f"the checkpoint is damaged ({error})",
                where=str(self.path),
                hint="Train again without --resume.",
            ) from None
        self._require_same(meta["options"], options)
        return Progress(_below(_STATE, arrays), _below(_BEST, arrays), meta["epochs"])

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _require_same(self, before: Mapping[str, Any], options: TrainOptions) -> None:
        now = options.to_json()
        changed = [name for name in now if name not in FREE_ON_RESUME and before.get(name) != now[name]]
        if changed:
            name = changed[0]
            raise BadInput(
                f"the interrupted run had {name} {before.get(name)!r}, this one has {now[name]!r}",
                where=str(self.path),
                hint="Give the same options, or train again without --resume.",
            )


def _below(prefix: str, arrays: State) -> State:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

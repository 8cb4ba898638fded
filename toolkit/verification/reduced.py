"""Files in fewer bits: a class of their own, judged by what those bits must cost and by nothing looser.

The yardstick is the source itself in that precision: its float32 ONNX graph with every weight and every result rounded
(`exporters.precision.rounded`). It takes the place of the source's float32 outputs, so that R is the file's error over
the error that the precision cannot but make. The graph must first agree with the source's truth far within that error,
else it is no yardstick; and where the error is so large that a wrong file could hide in it, nothing passes. The weights
are looked at one by one: each must be the source's own, rounded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exporters.precision.kinds import FULL
from toolkit.errors import BadInput, Inconclusive, ToolkitError
from toolkit.signature import Signature
from toolkit.verification import compare, plan
from toolkit.verification.locate import conduct
from toolkit.verification.plan import Data
from toolkit.verification.reduced_weights import FileWeight, compare_weights
from toolkit.verification.reference import Answers, Doubt, hopeless
from toolkit.verification.report import Lens
from toolkit.verification.sides import Side
from toolkit.worker.pool import Caller, WorkerPool

Array = np.ndarray[Any, Any]

CALIBRATED = 256  # rows
_BATCH = 16
_AGREES = 0.1  # of the precision's own error: what the graph may differ from the truth by
_TASKS = "exporters.precision.tasks"

# Kinds of generated inputs that a precision cannot hold; int8 knows nothing but its data.
LEFT_OUT = {
    "fp16": frozenset({"large", "tiny", "denormal"}),
    "bf16": frozenset[str](),
    "int8": frozenset(plan.KINDS),
}
_NOT_TRIED = {
    "fp16": "magnitudes that float16 does not hold (above 1e3, below 1e-5)",
    "int8": "inputs unlike the calibration data: 8 bits know no others",
}


@dataclass(frozen=True)
class Reduction:
    """What a verification in fewer bits is asked: the precision, and the inputs that int8 learns its ranges from."""

    precision: str = FULL
    calibration: tuple[Mapping[str, Array], ...] = ()
    integers: bool = False  # whether a file computes in integers alone, which costs more

    @property
    def is_full(self) -> bool:
        return self.precision == FULL

    @property
    def left_out(self) -> frozenset[str]:
        return LEFT_OUT.get(self.precision, frozenset())

    @property
    def not_tried(self) -> tuple[str, ...]:
        return (_NOT_TRIED[self.precision],) if self.precision in _NOT_TRIED else ()


def reduction(
    precision: str,
    given: str | Path | None,
    data: Data | None,
    signature: Signature,
    formats: Sequence[str] = (),
) -> Reduction:
    """The calibration of int8 from `given` (an .npz, or a folder of them), else from the data to verify with."""
    if precision != "int8":
        if given is not None:
            raise BadInput(f"{precision} needs no calibration", where="--calibrate", hint="Ask for --precision int8.")
        return Reduction(precision)
    rows = [plan.load_data(path, signature) for path in files(Path(given))] if given is not None else [data]
    batches = [batch for found in rows if found is not None for batch in _batches(found)]
    if not batches:
        raise BadInput(
            "int8 learns its ranges from data, and there is none", where="--precision int8",
            hint="Give real inputs: --calibrate FILE.npz, one array per input, rows first.",
        )  # fmt: skip
    return Reduction(precision, tuple(batches[: max(1, CALIBRATED // _BATCH)]), "tflite" in formats)


def files(path: Path) -> list[Path]:
    """The .npz files of a path. Raises BadInput for a folder without any."""
    found = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not found:
        raise BadInput("the folder holds no .npz files", where=str(path), hint="Write them with numpy.savez.")
    return found


def _batches(data: Data) -> list[dict[str, Array]]:
    if not data.batched:
        return [data.take(slice(None))]
    return [data.take(slice(start, start + _BATCH)) for start in range(0, data.rows, _BATCH)]


@dataclass
class Yardstick:
    """The source in fewer bits, open in a worker of PyTorch's."""

    asked: Reduction
    worker: Caller
    rounded: str
    exact: str
    weights: Mapping[str, Array]

    def answers(self, known: Answers, signature: Signature) -> Answers:
        """The answers with the rounded source in the place of the float32 one. Doubts say where it is no yardstick."""
        outputs, exact = (self._run(handle, known) for handle in (self.rounded, self.exact))
        found = replace(known, source=outputs, precision=self.asked.precision)
        return replace(found, doubts=(*known.doubts, *_doubts(self.asked.precision, signature, found, exact)))

    def _run(self, handle: str, answers: Answers) -> list[dict[str, Array]]:
        inputs = [dict(batch.inputs) for batch in answers.batches]
        run: list[dict[str, Array]] = self.worker.call(
            "toolkit.verification.tasks:run", {"handle": handle, "batches": inputs}
        )
        return run

    def look(self, file: Side) -> Lens:
        """The weights of a file, each the source's own in that precision."""
        try:
            found = file.worker.call(f"{_FILE_TASK}", {"handle": file.handle})
        except ToolkitError as error:
            return Lens("weights", None, None, error.found)
        held = [FileWeight(item["name"], item["values"], item["step"]) for item in found]
        return compare_weights(self.weights, held, self.asked.precision)


_FILE_TASK = "toolkit.verification.tasks:stored_weights"


def yardstick(pool: WorkerPool, side: Side, asked: Reduction) -> Yardstick:
    """Raises Inconclusive where the source has no ONNX form, from which the yardstick is made."""
    reasons: list[str] = []
    with tempfile.TemporaryDirectory(prefix="toolkit-reduced-") as scratch:
        graph = next(conduct.source_as_onnx(side, Path(scratch), reasons), None)
        if graph is None:
            raise Inconclusive(f"what {asked.precision} costs cannot be told: {'; '.join(reasons)}")
        worker = pool.worker("torch", "cpu")
        path = str(graph.absolute())
        params = {"path": path, "precision": asked.precision, "signature": side.signature.to_json(),
                  "integers": asked.integers, "calibration": [dict(batch) for batch in asked.calibration]}  # fmt: skip
        opened = worker.call(f"{_TASKS}:open_rounded", params)
        weights: dict[str, Array] = {}
        for folded in (False, True):
            found = worker.call(f"{_TASKS}:graph_weights", {"path": path, "folded": folded})
            weights |= {(name if not folded else f"{name} (folded)"): array for name, array in found.items()}
    return Yardstick(asked, worker, opened["rounded"], opened["exact"], weights)


def _doubts(precision: str, signature: Signature, found: Answers, exact: Sequence[Mapping[str, Array]]) -> list[Doubt]:
    doubts = []
    for spec in signature.outputs:
        if not spec.is_float:
            continue
        sides = ([batch[spec.name] for batch in each] for each in (found.truth, found.source, exact))
        truth, rounded, graph = (compare.rows_of(spec, arrays) for arrays in sides)
        if any(a.shape != b.shape or a.shape != c.shape for a, b, c in zip(truth, rounded, graph, strict=True)):
            return [Doubt(f"the source's graph gives '{spec.name}' another shape: no yardstick for {precision}", True)]
        cost = _typical(truth, rounded)
        own = _typical(truth, graph)
        if own > max(_AGREES * cost, 1e-12):
            words = f"the source's ONNX graph differs from it by {own:.1e}: no yardstick for {precision}"
            doubts.append(Doubt(words, blind=True))
    doubts += [] if doubts else hopeless(signature, found.source, found.truth, precision)
    return doubts


def _typical(truth: Sequence[Array], other: Sequence[Array]) -> float:
    return float(np.median([compare.relative_difference(t, t, o) for t, o in zip(truth, other, strict=True)]))

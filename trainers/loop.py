"""The training loop that the three frameworks share: epochs, batches, history, early stop, checkpoints, progress.

Framework-free (numpy only). Whatever is random is drawn from the seed and the epoch's number alone, never from a
generator that lives through the run: that makes resuming exact, and the batches the same in every framework.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from toolkit.errors import BadInput
from trainers import data
from trainers.checkpoint import Checkpoint, State
from trainers.data import Part
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

Report = Callable[[Mapping[str, Any]], None]
Bounds = tuple[int, int]  # one batch: first item and the one after the last, as positions in the epoch's order

_REPORT_SECONDS = 0.1
_CHUNK_SECONDS = 0.1  # between two looks at the loss; each costs a synchronisation


class _Stream(IntEnum):
    """What a seed is drawn for: streams of one epoch must not share numbers."""

    SPLIT = 0
    ORDER = 1
    AUGMENT = 2
    DROPOUT = 3


@dataclass(frozen=True)
class Score:
    """Mean loss per item and the share of items whose class was right."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Piece:
    """Some consecutive steps: items seen, sum of loss over items, right answers, and the loss of each step if known."""

    items: int
    loss_sum: float
    correct: int
    losses: tuple[float, ...] = ()

    @staticmethod
    def of_steps(bounds: Sequence[Bounds], losses: NDArray[np.float32], correct: int) -> Piece:
        sizes = np.array([stop - start for start, stop in bounds])
        return Piece(int(sizes.sum()), float(losses.astype(np.float64) @ sizes), correct, tuple(losses.tolist()))


class Learner(Protocol):
    """A model, its optimizer and its data on a device; the only part of training that knows a framework."""

    factory: str  # "package.module:callable", which rebuilds the untrained model

    def set_items(self, x: NDArray[np.float32]) -> None:
        """Replace the inputs of the training set, whose labels stay: augmentation redraws them every epoch."""

    def begin_epoch(self, order: NDArray[np.int64], seed: int) -> None:
        """The order of the training set's items in this epoch, and the seed of its dropout."""

    def train(self, bounds: Sequence[Bounds], told: Callable[[Piece], None]) -> None:
        """One step per batch; `told` hears of every few steps, in order."""

    def evaluate(self, part: Part) -> Score: ...

    def state(self) -> State:
        """Everything that training changes, as arrays: parameters, moving averages, the optimizer's own."""

    def restore(self, state: State) -> None:
        """The inverse of `state`."""

    def weights_only(self, state: State) -> State:
        """The part of a state that predictions depend on."""


@dataclass(frozen=True)
class Epoch:
    """One row of the history. `items_per_second` counts training alone, without validation."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float
    items_per_second: float


@dataclass(frozen=True)
class History:
    """The epochs that ran; `best` is the number of the one whose weights were kept, `stopped_early` says whether it
    was early stopping that ended the run.
    """

    epochs: tuple[Epoch, ...]
    best: int | None = None
    stopped_early: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"epochs": [asdict(epoch) for epoch in self.epochs]}


def drawn(seed: int, stream: _Stream, epoch: int = 0) -> np.random.Generator:
    """The generator for one purpose in one epoch."""
    return np.random.default_rng([seed, stream, epoch])


def split(part: Part, share: float, seed: int) -> tuple[Part, Part | None]:
    """A random `share` of the items is held back for validation; None where that share is 0 or rounds to no item."""
    held = round(len(part) * share)
    if not held:
        return part, None
    order = drawn(seed, _Stream.SPLIT).permutation(len(part))
    return part[np.sort(order[held:])], part[np.sort(order[:held])]


def batches(count: int, size: int) -> list[Bounds]:
    """Consecutive batches of `size` items. A last batch of a single item joins the one before it: batch normalisation
    has no variance of one item.
    """
    bounds = [(start, min(start + size, count)) for start in range(0, count, size)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        bounds[-2:] = [(bounds[-2][0], count)]
    return bounds


def order_of(epoch: int, count: int, seed: int) -> NDArray[np.int64]:
    """The order of the items in an epoch: the same for every framework."""
    return drawn(seed, _Stream.ORDER, epoch).permutation(count)


def begin(learner: Learner, epoch: int, count: int, seed: int) -> None:
    """Give the learner an epoch's order and dropout seed."""
    dropout = int(drawn(seed, _Stream.DROPOUT, epoch).integers(1 << 31))
    learner.begin_epoch(order_of(epoch, count, seed), dropout)


class Pace:
    """Cuts an epoch into chunks of steps that take about `_CHUNK_SECONDS` each, learning the length as it goes."""

    def __init__(self) -> None:
        self.steps = 4

    def chunks(self, bounds: Sequence[Bounds]) -> Iterator[Sequence[Bounds]]:
        first = 0
        while first < len(bounds):
            chunk = bounds[first : first + self.steps]
            started = time.perf_counter()
            yield chunk
            seconds = time.perf_counter() - started
            first += len(chunk)
            if seconds < _CHUNK_SECONDS / 2 and len(chunk) == self.steps:
                self.steps *= 2
            elif seconds > _CHUNK_SECONDS * 2:
                self.steps = max(1, self.steps // 2)


class _Meter:
    """Adds up an epoch and reports it, at most ten times a second and once at its end."""

    def __init__(self, epoch: int, epochs: int, total: int, report: Report) -> None:
        self.fixed = {"stage": "train", "epoch": epoch, "epochs": epochs, "total": total}
        self.report, self.total = report, total
        self.items, self.loss_sum, self.correct = 0, 0.0, 0
        self.started = self.reported = time.perf_counter()

    def add(self, piece: Piece) -> None:
        self.items += piece.items
        self.loss_sum += piece.loss_sum
        self.correct += piece.correct
        now = time.perf_counter()
        if now - self.reported >= _REPORT_SECONDS or self.items == self.total:
            self.reported = now
            self.report(self.fixed | {"done": self.items, **asdict(self.score), "items_per_second": self.rate})

    @property
    def score(self) -> Score:
        return Score(self.loss_sum / self.items, self.correct / self.items)

    @property
    def rate(self) -> float:
        return self.items / max(time.perf_counter() - self.started, 1e-9)


@dataclass(frozen=True)
class Items:
    """What a run trains on: inputs and labels, those held back, and the value of a black pixel for augmentation."""

    train: Part
    validation: Part | None
    fill: float


def fit(learner: Learner, items: Items, options: TrainOptions, checkpoint: Checkpoint, report: Report) -> History:
    """Train for the epochs asked for and leave the learner with the weights to keep.

    With `options.resume` it goes on after the checkpoint's last epoch, if there is one; the result is the same, bit for
    bit, as without the interruption.
    """
    history, best = _start(learner, options, checkpoint, report)
    saved = time.monotonic()
    while len(history.epochs) < options.epochs and not _exhausted(history, options.early_stop):
        row = _epoch(learner, items, options, len(history.epochs) + 1, report)
        history = replace(history, epochs=(*history.epochs, row))
        if options.early_stop and _best(history) == row.epoch:
            best = learner.weights_only(learner.state())
        if time.monotonic() - saved >= options.checkpoint_seconds:
            checkpoint.write(learner.state(), best, history.to_json()["epochs"], options)
            saved = time.monotonic()
    if not options.early_stop:
        return history
    learner.restore(learner.state() | best)
    return replace(history, best=_best(history), stopped_early=len(history.epochs) < options.epochs)


def _start(learner: Learner, options: TrainOptions, checkpoint: Checkpoint, report: Report) -> tuple[History, State]:
    found = checkpoint.read(options) if options.resume else None
    if options.resume:
        report({"stage": "resume", "epoch": len(found.epochs) if found else 0, "epochs": options.epochs})
    if found is None:
        return History(()), {}
    learner.restore(found.state)
    return History(tuple(Epoch(**row) for row in found.epochs)), found.best


def _epoch(learner: Learner, items: Items, options: TrainOptions, number: int, report: Report) -> Epoch:
    started = time.perf_counter()
    count = len(items.train)
    if options.augment:
        learner.set_items(_augmented(items, options, number))
    begin(learner, number, count, options.seed)
    meter = _Meter(number, options.epochs, count, report)
    learner.train(batches(count, options.batch_size), meter.add)
    rate, score = meter.rate, meter.score
    held = learner.evaluate(items.validation) if items.validation else None
    _require_finite(number, options, score, held)
    if held:
        report({"stage": "validate", "epoch": number, "epochs": options.epochs, **asdict(held)})
    return Epoch(
        epoch=number,
        loss=score.loss,
        accuracy=score.accuracy,
        validation_loss=held.loss if held else None,
        validation_accuracy=held.accuracy if held else None,
        seconds=time.perf_counter() - started,
        items_per_second=rate,
    )


def _require_finite(number: int, options: TrainOptions, *scores: Score | None) -> None:
    if not all(math.isfinite(score.loss) for score in scores if score):
        raise BadInput(
            f"the training diverged: the loss of epoch {number} is no finite number",
            where=f"learning rate {options.rate}",
            hint="Lower the learning rate.",
        )


def _augmented(items: Items, options: TrainOptions, epoch: int) -> NDArray[np.float32]:
    x = items.train.x
    generator = drawn(options.seed, _Stream.AUGMENT, epoch)
    return data.shift(x.reshape(len(x), 28, 28), options.augment, items.fill, generator).reshape(x.shape)


def _best(history: History) -> int:
    """The epoch with the lowest validation loss, the first of equals."""
    return min(history.epochs, key=lambda row: math.inf if row.validation_loss is None else row.validation_loss).epoch


def _exhausted(history: History, patience: int) -> bool:
    return bool(patience and history.epochs) and len(history.epochs) - _best(history) >= patience

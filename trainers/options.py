"""What a training run is asked to do, as plain data: it crosses to a worker process and into history.json as JSON.

Imports no framework, and not NumPy either: the command line builds these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import BadInput

FRAMEWORKS = ("torch", "keras", "tensorflow")
MODELS = ("feedforward", "fashion")
DATASETS = ("digits", "mnist", "fashion-mnist")
OPTIMIZERS = {"adam": 0.001, "sgd": 0.1}  # and the learning rate each starts from when none is given
DEVICES = ("cpu", "cuda")
LOOPS = ("fit", "custom")
LARGEST_SHIFT = 14  # pixels: half an image

# What may differ between an interrupted run and its continuation without changing the numbers up to that point.
FREE_ON_RESUME = frozenset({"output", "epochs", "resume", "checkpoint_seconds", "data_dir"})


@dataclass(frozen=True)
class TrainOptions:
    """One training run.

    `learning_rate` None stands for the optimizer's own in `OPTIMIZERS`. `validation_split` is the share of the training
    set that is held back. `augment` is the largest shift in pixels, 0 for none. `early_stop` is the number of epochs
    without a better validation loss after which training ends, with the best epoch's weights; 0 for never. `loop` is
    Keras' own: its `fit` or a custom loop. `same_start` begins from weights that the three frameworks share.
    `checkpoint_seconds` is the least time between two checkpoints, which are written at the end of an epoch.
    """

    framework: str
    model: str
    output: str
    dataset: str = "digits"
    data_dir: str | None = None
    optimizer: str = "adam"
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float | None = None
    seed: int = 0
    device: str = "cpu"
    validation_split: float = 0.1
    augment: int = 0
    early_stop: int = 0
    loop: str = "fit"
    amp: bool = False
    dropout: float = 0.5
    same_start: bool = False
    resume: bool = False
    checkpoint_seconds: float = 5.0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            _require(name, getattr(self, name), choices.__contains__, f"one of {', '.join(choices)}")
        for name, (right, wanted) in _LIMITS.items():
            _require(name, getattr(self, name), right, wanted)
        if self.early_stop and not self.validation_split:
            raise BadInput(
                f"early_stop is {self.early_stop} and validation_split is 0: nothing tells when to stop",
                hint="Give a validation split, for instance 0.1.",
            )

    @property
    def rate(self) -> float:
        """The learning rate, given or the optimizer's own."""
        return OPTIMIZERS[self.optimizer] if self.learning_rate is None else self.learning_rate

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> TrainOptions:
        known = TrainOptions.__dataclass_fields__
        unknown = sorted(set(data) - set(known))
        if unknown:
            raise BadInput(f"'{unknown[0]}' is not a training option", hint=f"Use {', '.join(known)}.")
        return TrainOptions(**data)


_CHOICES: dict[str, tuple[str, ...]] = {
    "framework": FRAMEWORKS,
    "model": MODELS,
    "dataset": DATASETS,
    "optimizer": tuple(OPTIMIZERS),
    "device": DEVICES,
    "loop": LOOPS,
}

_LIMITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda value: value >= 1, "at least 1"),
    # Batch normalisation has no variance of one item.
    "batch_size": (lambda value: value >= 2, "at least 2"),
    "learning_rate": (lambda value: value is None or 0 < value < float("inf"), "a positive number"),
    "seed": (lambda value: 0 <= value < 1 << 32, "from 0 to 4294967295"),
    "validation_split": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "augment": (lambda value: 0 <= value <= LARGEST_SHIFT, f"from 0 to {LARGEST_SHIFT} pixels"),
    "early_stop": (lambda value: value >= 0, "0 or a number of epochs"),
    "dropout": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "checkpoint_seconds": (lambda value: value >= 0, "0 or a number of seconds"),
    "output": (lambda value: bool(Path(value).name), "the name of a folder"),
}


def _require(name: str, value: Any, right: Callable[[Any], bool], wanted: str) -> None:
    if not right(value):
        raise BadInput(f"{name} is {value!r}; it must be {wanted}")

"""Train a model in PyTorch, Keras or low-level TensorFlow; each trainer ends in a `toolkit.artifact.Artifact`.

Importing this package loads no framework; `train` imports the one that its options name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from trainers.options import TrainOptions as TrainOptions

if TYPE_CHECKING:
    from toolkit.artifact import Artifact

__all__ = ["TrainOptions", "train"]


def train(options: TrainOptions, report: Callable[[Mapping[str, Any]], None] = lambda _: None) -> Artifact:
    """Train with the framework that `options` name; see the `train` of `trainers.torch_trainer`, `.keras_trainer` and
    `.tensorflow_trainer`. `report` receives progress as small mappings, about ten a second.
    """
    trainer = import_module(f"trainers.{options.framework}_trainer")
    artifact: Artifact = trainer.train(options, report)
    return artifact

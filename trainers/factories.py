"""A model's factory as text, `trainers.models_X:NAME`, and back."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from toolkit.artifact import Artifact
from toolkit.errors import BadInput
from trainers.options import MODELS, TrainOptions


def name_of(module: ModuleType, model: str) -> str:
    return f"{module.__name__}:{model}"


def make(module: ModuleType, options: TrainOptions, **more: Any) -> Any:
    """The untrained model of `options`; only the feed-forward one has dropout."""
    if options.model == "feedforward":
        more["dropout"] = options.dropout
    return getattr(module, options.model)(**more)


def build(artifact: Artifact, module: ModuleType) -> Any:
    """The untrained model that an artifact of this framework names. Raises BadInput if it is another framework's."""
    home, _, model = (artifact.factory or "").partition(":")
    if home != module.__name__ or model not in MODELS:
        raise BadInput(
            f"its factory is '{artifact.factory}', which is none of {module.__name__}'s", where=str(artifact.path)
        )
    return getattr(module, model)()

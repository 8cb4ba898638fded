"""What a worker process calls to train: plain values in, plain values out.

A task's first argument is the worker's session, whose `progress` tells the parent how far it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

import trainers
from trainers import same_start as shared
from trainers.options import TrainOptions


class Session(Protocol):
    """The one thing that a training task needs of the worker's session."""

    def progress(self, fields: Mapping[str, Any]) -> None: ...


def train(session: Session, options: Mapping[str, Any]) -> dict[str, Any]:
    """Train as `options` (TrainOptions as JSON) say; returns the folder, its facts and its history."""
    artifact = trainers.train(TrainOptions.from_json(options), session.progress)
    history = json.loads(artifact.file("history").read_text(encoding="utf-8"))
    return {
        "artifact": str(artifact.path),
        "files": dict(artifact.files),
        "facts": dict(artifact.facts),
        "history": history,
    }


def same_start(session: Session, options: Mapping[str, Any], steps: int | None = None) -> dict[str, Any]:
    """The training losses of one framework from the shared start, step by step; all epochs if `steps` is None."""
    asked = TrainOptions.from_json(options)
    trainer = import_module(f"trainers.{asked.framework}_trainer")
    step_losses: Callable[..., list[float]] = trainer.same_start
    return {"losses": step_losses(shared.comparable(asked, asked.framework), steps, session.progress)}

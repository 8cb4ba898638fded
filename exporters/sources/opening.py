"""A described source as a runner, in the process that holds its framework."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from exporters.sources.source import Source
from toolkit.runtime.runner import Runner


def runner_of(source: Source, device: str = "cpu", threads: int | None = None, model: Any = None) -> Runner:
    """The runner of a source, not yet entered; `model` is the object itself where the source is one."""
    module, _, name = source.opener.partition(":")
    opener = getattr(import_module(module), name)
    runner: Runner = opener(source, device, threads) if model is None else opener(source, device, threads, model)
    return runner

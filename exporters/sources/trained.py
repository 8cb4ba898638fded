"""A trainer's folder: opened by the trainer that wrote it, whose sidecar holds its signature and contract."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from exporters.sources.keras_model import KerasRunner
from exporters.sources.source import Source
from exporters.sources.tensorflow_module import TensorFlowModuleRunner
from exporters.sources.torch_module import TorchModuleRunner
from toolkit import artifact


def open_torch(source: Source, device: str, threads: int | None) -> TorchModuleRunner:
    return TorchModuleRunner(source, lambda _: (_load("trainers.torch_trainer", source), None), device, threads)


def open_keras(source: Source, device: str, threads: int | None) -> KerasRunner:
    return KerasRunner(source, lambda _: (_load("trainers.keras_trainer", source), None), device, threads)


def open_tensorflow(source: Source, device: str, threads: int | None) -> TensorFlowModuleRunner:
    return TensorFlowModuleRunner(
        source, lambda _: (_load("trainers.tensorflow_trainer", source), None), device, threads
    )


def _load(trainer: str, source: Source) -> Any:
    # By name, because trainers and exporters meet in the artifact alone.
    assert source.path is not None
    return import_module(trainer).load(artifact.load(Path(source.path)))

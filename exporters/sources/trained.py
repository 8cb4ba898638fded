"""A trainer's folder: opened by the trainer that wrote it, whose sidecar holds its signature and contract."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from exporters.sources.keras_model import KerasRunner
from exporters.sources.source import Asked, Kind, Source
from exporters.sources.tensorflow_module import TensorFlowModuleRunner
from exporters.sources.torch_module import TorchModuleRunner
from toolkit import artifact
from toolkit.errors import BadInput

KINDS = (
    Kind("trained-torch", "torch", "exporters.sources.trained:open_torch", "what `toolkit train` leaves", "folder"),
    Kind("trained-keras", "tensorflow", "exporters.sources.trained:open_keras", "the same, of Keras", "folder"),
    Kind("trained-tensorflow", "tensorflow", "exporters.sources.trained:open_tensorflow",
         "the same, of low-level TensorFlow", "folder"),
)  # fmt: skip


def probe(source: Source, asked: Asked) -> Source | None:
    """A folder with a trainer's sidecar."""
    if not (asked.path / artifact.SIDECAR).is_file():
        return None
    found = artifact.load(asked.path)
    kind = f"trained-{found.format}"
    if kind not in {each.name for each in KINDS}:
        raise BadInput(f"it names the framework '{found.format}'", where=str(asked.path / artifact.SIDECAR))
    data = str(found.file("test").absolute()) if "test" in found.files else None
    facts = {"contract": found.contract.to_json(), "data": data}
    return replace(source, kind=kind, signature=found.signature.to_json(), facts=facts)


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

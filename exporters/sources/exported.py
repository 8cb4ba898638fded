"""A file of one of our formats as a source: whatever runs it can also be exported again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exporters.sources.source import Asked, Kind, Source
from toolkit import formats, manifest, safety
from toolkit.errors import BadInput
from toolkit.runtime.runner import Runner

KINDS = (
    Kind("torchscript", "torch", "exporters.sources.exported:open_torchscript",
         "a TorchScript file, scripted or traced", "model.pt --input x:float32[batch,4]"),
    Kind("hdf5", "tensorflow", "exporters.sources.exported:open_file", "a Keras 3 HDF5 file", "model.h5"),
    Kind("savedmodel", "tensorflow", "exporters.sources.exported:open_savedmodel",
         "a SavedModel folder of any origin", "folder --signature NAME"),
    Kind("onnx", "onnxruntime", "exporters.sources.exported:open_onnx",
         "an ONNX file: any opset and IR version, functions, external data, quantised", "model.onnx"),
)  # fmt: skip


def probe(source: Source, asked: Asked) -> Source:
    """By content; raises where it is none of them. TorchScript and SavedModel are programs, and are looked through."""
    path = asked.path
    if (path / manifest.NAME).is_file():
        raise BadInput(
            "a bundle is what an export leaves, not a source",
            where=asked.text,
            hint=f"Name one of its files, for instance {path / next(iter(manifest.load(path).formats.values()))}.",
        )
    kind = formats.of_path(path).name
    if kind == "tflite":
        raise BadInput(
            "a LiteRT file is what an export leaves, not a source",
            where=asked.text,
            hint="Name the model that it was made from.",
        )
    safety.require(path, kind, asked.trust)
    return replace(source, kind=kind)


def open_file(source: Source, device: str, threads: int | None) -> Runner:
    assert source.path is not None
    return formats.by_name(source.kind).open(Path(source.path), device, threads)


def open_onnx(source: Source, device: str, threads: int | None) -> Runner:
    from exporters.graph import known
    from exporters.sources.old_onnx import OldOnnxRunner
    from toolkit.runtime.onnx_runner import OnnxRunner

    assert source.path is not None
    path = Path(source.path)
    found = known.require(path)
    runner = (
        OnnxRunner(path, device=device, threads=threads, without=found.without)
        if found.too_old is None
        else OldOnnxRunner(path, found.too_old, device=device, threads=threads)
    )
    runner.notes += found.notes
    return runner


def open_savedmodel(source: Source, device: str, threads: int | None) -> Runner:
    from exporters.sources.stranger_savedmodel import StrangersSavedModel

    assert source.path is not None
    return StrangersSavedModel(Path(source.path), device=device, threads=threads, serving=source.serving)


def open_torchscript(source: Source, device: str, threads: int | None) -> Runner:
    from exporters.sources.torchscript_file import TorchScriptSource

    return TorchScriptSource(source, device, threads)

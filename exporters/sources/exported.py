"""A file of one of our formats as a source: whatever runs it can also be exported again."""

from __future__ import annotations

from pathlib import Path

from exporters.sources.source import Source
from toolkit import formats
from toolkit.runtime.runner import Runner


def open_file(source: Source, device: str, threads: int | None) -> Runner:
    assert source.path is not None
    if source.kind == "onnx":
        from exporters.graph import known

        known.require(Path(source.path))
    return formats.by_name(source.kind).open(Path(source.path), device, threads)

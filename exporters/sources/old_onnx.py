"""ONNX files from before the opsets that ONNX Runtime runs, as sources: a copy in a newer opset runs in their place."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Self

from toolkit.errors import UnsupportedOperator
from toolkit.runtime.onnx_runner import OnnxRunner

_NEWER = 18


class OldOnnxRunner(OnnxRunner):
    """A file of an old opset, run as what ONNX's own converter makes of it."""

    def __init__(self, path: Path, opset: int, *, device: str, threads: int | None) -> None:
        super().__init__(path, device=device, threads=threads)
        self._old, self._opset = path, opset

    def __enter__(self) -> Self:
        import onnx_ir as ir

        from exporters.graph import opsets, read

        raised = opsets.raised(read.read(self._old), _NEWER)
        if opsets.opset_of(raised, _NEWER) != _NEWER:
            raise UnsupportedOperator(
                f"ONNX Runtime runs opsets from 7 on; ONNX's converter does not bring this file of opset {self._opset}"
                f" to {_NEWER}",
                where=self._old.name, hint="Export the model anew.",
            )  # fmt: skip
        self._folder = tempfile.TemporaryDirectory(prefix="raised-")
        self.path = Path(self._folder.name) / self._old.name
        ir.save(raised, self.path, external_data=f"{self._old.name}.data")
        self.notes.append(
            f"it is of opset {self._opset}, which ONNX Runtime does not run: it was brought up to {_NEWER}"
        )
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._folder.cleanup()

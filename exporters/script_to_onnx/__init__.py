"""What PyTorch's TorchScript-based ONNX exporter is told: operators that it refuses or mistakes, and nesting."""

from __future__ import annotations


def register() -> None:
    """Use our own functions for operators that the exporter has none for, or wrong ones; once is enough."""
    from exporters.script_to_onnx import attention, ranks, resize

    for operators in (attention, ranks, resize):
        operators.register()

"""Rebuild an ONNX model as a PyTorch module that can be scripted, fine-tuned, moved and printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx
    import onnx_ir
    import torch


def build(
    model: str | Path | onnx.ModelProto | onnx_ir.Model, *, optimize: bool = False, share: bool = False
) -> torch.fx.GraphModule:
    """Rebuild `model`, whose inputs and outputs come in the graph's order, positionally.

    A single output comes bare, several as a tuple. Weights are named after the source; where a name had to change,
    `module.meta["source_names"]` maps the new name to the old one. With `optimize`, for a module that shall be fast
    rather than trained on, what scales and shifts a convolution's channels is folded into its weights, those of images
    are stored channels last, and activations overwrite what they read. With `share`, weights outside the file are
    read where they lie, for a module that is run or saved and never changed. Raises InvalidGraph and
    UnsupportedOperator.
    """
    from exporters.onnx_to_torch import builder

    return builder.build(model, optimize=optimize, share=share)

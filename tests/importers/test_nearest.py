"""The nearest element where a place lies on the border of two: the one that PyTorch takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from onnx import numpy_helper, parser

from exporters import onnx_to_torch

FORMS = {
    "nearest-exact": 'coordinate_transformation_mode = "half_pixel", nearest_mode = "round_prefer_ceil"',
    "nearest": 'coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"',
}


@pytest.mark.parametrize("mode", FORMS)
@pytest.mark.parametrize("size", [7, 11, 14, 40])
def test_to_a_size(mode: str, size: int) -> None:
    body = f'sizes = Constant <value_ints = [1, 1, 9]> () y = Resize <mode = "nearest", {FORMS[mode]}> (x, , , sizes)'
    graph = f"g (float[1, 1, {size}] x) => (float[1, 1, 9] y) {{ {body} }}"
    module = onnx_to_torch.build(parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]> {graph}'))
    x = torch.arange(size, dtype=torch.float32).reshape(1, 1, size)
    torch.testing.assert_close(module(x), nnf.interpolate(x, size=[9], mode=mode))


@pytest.mark.parametrize("scale", [0.6, 0.7, 1.7, 2.0, 3.4])
def test_by_a_scale_that_float32_only_comes_close_to(scale: float) -> None:
    body = f'y = Resize <mode = "nearest", {FORMS["nearest-exact"]}> (x, , scales)'
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 18]> g (float[1, 1, 20] x) => (float[1, 1, n] y) {{ {body} }}'
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, scale], np.float32), "scales"))
    x = torch.arange(20, dtype=torch.float32).reshape(1, 1, 20)
    torch.testing.assert_close(
        onnx_to_torch.build(model)(x), nnf.interpolate(x, scale_factor=scale, mode="nearest-exact")
    )

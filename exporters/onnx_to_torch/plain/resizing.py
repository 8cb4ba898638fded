"""Resize as PyTorch's own interpolation where both mean the same; else, if told, along one axis after the other."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as nnf

from exporters.graph.values import same_size
from exporters.onnx_to_torch.plain.call import FLOATS, Call, Rule
from exporters.onnx_to_torch.resize import nearest_along

_MODES = {("linear", 3): "linear", ("linear", 4): "bilinear", ("linear", 5): "trilinear", ("cubic", 4): "bicubic"}
_CORNERS = {"half_pixel": False, "align_corners": True}
_CUBIC = -0.75  # PyTorch's coefficient
_FIRST = 11  # the opset since which there are coordinate modes
_OTHERWISE = {"antialias": 0, "axes": None, "exclude_outside": 0, "keep_aspect_ratio_policy": "stretch"}


def _resize(given: Call) -> Any:
    rank = given.rank()
    plain = all(given.keyword(name, default) == default for name, default in _OTHERWISE.items())
    if given.opset < _FIRST or rank is None or not plain or given.node.inputs[0] is None:
        return None
    wanted = _changes(given, rank)
    if wanted is None:
        return None
    mode, transformation = given.keyword("mode", "nearest"), given.keyword(_COORDINATES, "half_pixel")
    if mode == "nearest":
        return _nearest(given, wanted, transformation)
    name, corners = _MODES.get((mode, rank)), _CORNERS.get(transformation)
    spatial = [axis in wanted for axis in range(rank)]
    if name is None or corners is None or spatial[:2] != [False, False] or given.node.inputs[0].dtype not in FLOATS:
        return None
    if mode == "cubic" and given.keyword("cubic_coeff_a", _CUBIC) != _CUBIC:
        return None
    sizes, scales = given.argument(3), given.argument(2)
    if sizes is not None:
        inner = [wanted.get(axis, sizes[axis]) for axis in range(2, rank)]
        return given.make(nnf.interpolate, given.argument(0), inner, None, name, corners)
    if corners:  # by the scale itself, where PyTorch asks for the size that follows
        return None
    return given.make(nnf.interpolate, given.argument(0), None, scales[2:], name, corners)


_COORDINATES = "coordinate_transformation_mode"


def _nearest(given: Call, wanted: dict[int, Any], transformation: str) -> Any:
    if transformation == "tf_crop_and_resize":
        return None
    x, by_size = given.argument(0), given.argument(3) is not None
    form = (transformation, given.keyword("nearest_mode", "round_prefer_floor"))
    for axis, size in wanted.items():
        x = given.make(nearest_along, x, axis, *((size, None) if by_size else (None, size)), *form)
    return x


def _changes(given: Call, rank: int) -> dict[int, Any] | None:
    """The axes whose size may change, each with its new size or scale; None where these are not all told."""
    scales, sizes = given.argument(2), given.argument(3)
    if isinstance(sizes, list) and len(sizes) == rank:
        return {axis: size for axis, size in enumerate(sizes) if not _stays(given, axis, size)}
    known = sizes is None and isinstance(scales, list) and len(scales) == rank
    return {axis: scale for axis, scale in enumerate(scales) if scale != 1.0} if known else None


def _stays(given: Call, axis: int, size: Any) -> bool:
    shape, found = given.shape(0), given.node.outputs[0].shape
    if isinstance(size, int) or shape is None:
        return shape is not None and size == shape[axis]
    asks = size.op == "call_method" and size.target == "size" and size.args == (given.argument(0), axis)
    return asks or (found is not None and len(found) == len(shape) and same_size(shape[axis], found[axis]))


RULES: dict[str, Rule] = {"Resize": _resize}

"""Resizing as scripted modules have it, for PyTorch's TorchScript-based ONNX exporter.

Its own functions want sizes and scales as constants, know no ranks in a saved graph, write `area`, which ONNX does not
have, and pool adaptively only where sizes are known. In a script they may be computed, a number may stand for all axes,
and a list has whatever length.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_OPSET = 13
_SPATIAL = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_PLAIN = {"nearest": (1, 2, 3), "linear": (1,), "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)}
_HALF_PIXEL = {"coordinate_transformation_mode_s": "half_pixel"}
_NEAREST = {"mode_s": "nearest", "coordinate_transformation_mode_s": "asymmetric", "nearest_mode_s": "floor"}
_EXACT = {"mode_s": "nearest", "nearest_mode_s": "round_prefer_ceil"} | _HALF_PIXEL


@dataclass(frozen=True)
class Request:
    """What is asked for: a tensor, how many axes of it are spatial (None: not known), and their sizes or scales."""

    x: Any
    axes: int | None
    size: Any = None
    scales: Any = None


@functools.cache
def register() -> None:
    """Once for each process."""
    import torch

    onnx: Any = torch.onnx
    known: dict[str, Any] = {"__interpolate": _interpolate}
    for mode, counts in _PLAIN.items():
        known |= {f"upsample_{mode}{count}d": functools.partial(_upsample, mode, count) for count in counts}
    for count in _PLAIN["nearest"]:
        known[f"_upsample_nearest_exact{count}d"] = functools.partial(_upsample, "nearest-exact", count)
        known[f"adaptive_avg_pool{count}d"] = functools.partial(_pooled, count)
    for name, function in known.items():
        onnx.register_custom_op_symbolic(f"aten::{name}", function, _OPSET)


def _interpolate(
    g: Any, x: Any, size: Any, scales: Any, mode: Any, align: Any, again: Any = None, antialias: Any = None
) -> Any:
    mode = _constant(mode, "s")
    if not isinstance(mode, str) or (antialias is not None and _constant(antialias, "b") is True):
        return _refused("interpolate", "a mode that is computed, or antialiasing")
    asked = _request(x, size, scales, _SPATIAL.get(mode))
    if mode != "area":
        again = _constant(again, "b") is True
        return _ranked(_resized(g, asked, _form(mode, _constant(align, "b")), again=again), asked)
    if asked.axes is None:
        return _refused("interpolate", "area without the rank of its input")
    return _ranked(_averaged(g, asked), asked)


def _upsample(mode: str, axes: int, g: Any, x: Any, size: Any, *rest: Any) -> Any:
    """`rest` is whether corners are aligned, where the mode has such, and scales: one list, or one number per axis."""
    align = _constant(rest[0], "b") if mode in _SPATIAL else None
    scales = [scale for scale in rest[mode in _SPATIAL :] if not _is_none(scale)]
    if _is_none(size) != (len(scales) == 1):
        return _refused("upsample", "sizes and scales that need not agree")
    asked = _request(x, size, scales[0] if scales else None, axes)
    return _ranked(_resized(g, asked, _form(mode, align), again=False), asked)


def _pooled(axes: int, g: Any, x: Any, size: Any) -> Any:
    """Adaptive pooling: by PyTorch's own function where it is a plain one."""
    from torch.onnx._internal.torchscript_exporter import symbolic_opset9

    wanted, given = _constant(size, "is"), _helpers()._get_tensor_sizes(x)  # noqa: SLF001 - PyTorch's own
    wanted = [wanted] * axes if isinstance(wanted, int) else wanted
    if isinstance(wanted, list) and _divides(wanted, given):
        return getattr(symbolic_opset9, f"adaptive_avg_pool{axes}d")(g, x, size)
    asked = _request(x, size, None, axes)
    return _ranked(_averaged(g, asked), asked)


def _helpers() -> Any:
    from torch.onnx._internal.torchscript_exporter import symbolic_helper

    return symbolic_helper


def _constant(value: Any, kind: str) -> Any:
    return _helpers()._maybe_get_const(value, kind)  # noqa: SLF001 - PyTorch's own


def _refused(operator: str, what: str) -> Any:
    return _helpers()._unimplemented(operator, what)  # noqa: SLF001 - PyTorch's own


def _request(x: Any, size: Any, scales: Any, axes: int | None) -> Request:
    rank = _helpers()._get_tensor_rank(x)  # noqa: SLF001 - PyTorch's own
    size, scales = (None if _is_none(value) else value for value in (size, scales))
    lengths = [_length(value) for value in (size, scales) if value is not None]
    if rank is not None:
        axes = rank - 2
    return Request(x, axes or next((n for n in lengths if n is not None and n > 1), None), size, scales)


def _divides(wanted: list[int], given: list[int | None] | None) -> bool:
    """Whether adaptive pooling is a plain one: of everything, or of parts of one size that is known."""
    if all(size == 1 for size in wanted):
        return True
    sizes = given[-len(wanted) :] if given is not None else [None]
    return len(sizes) == len(wanted) and all(
        size is not None and size % parts == 0 for size, parts in zip(sizes, wanted, strict=True)
    )


def _is_none(value: Any) -> bool:
    return value is None or (value.node().mustBeNone() if hasattr(value, "node") else False)


def _length(value: Any) -> int | None:
    """How many elements a list has; None for a single number, or where that is not known."""
    return len(list(value.node().inputs())) if value.node().kind() == "prim::ListConstruct" else None


def _form(mode: str, align: Any) -> dict[str, Any]:
    """ONNX's attributes for PyTorch's `mode`."""
    if mode in {"nearest", "nearest-exact"}:
        return _NEAREST if mode == "nearest" else _EXACT
    form = {"coordinate_transformation_mode_s": "align_corners"} if align is True else _HALF_PIXEL
    return form | ({"mode_s": "cubic", "cubic_coeff_a_f": -0.75} if mode == "bicubic" else {"mode_s": "linear"})


def _resized(g: Any, asked: Request, form: dict[str, Any], *, again: bool) -> Any:
    """A Resize; with `again`, scales only tell sizes, and places are computed from these."""
    nothing = _nothing(g)
    if asked.size is None and not again:
        scales = g.op("Concat", _numbers(g, [1.0, 1.0]), _elements(g, asked, asked.scales, "FLOAT"), axis_i=0)
        return g.op("Resize", asked.x, nothing, scales, **form)
    sizes = g.op("Concat", _slice(g, g.op("Shape", asked.x), 0, 2), _sizes(g, asked), axis_i=0)
    return g.op("Resize", asked.x, nothing, nothing, sizes, **form)


def _sizes(g: Any, asked: Request) -> Any:
    """The spatial sizes of the result, rounded down where only scales are given."""
    if asked.size is not None:
        return _elements(g, asked, asked.size, "INT64")
    given = _cast(g, _slice(g, g.op("Shape", asked.x), 2, 2**63 - 1), "DOUBLE")
    return _cast(g, g.op("Floor", g.op("Mul", given, _elements(g, asked, asked.scales, "DOUBLE"))), "INT64")


def _averaged(g: Any, asked: Request) -> Any:
    """`area`: each element is the mean of all that it covers, if only in part. Along one axis that is a product."""
    assert asked.axes is not None
    x, wanted, last = asked.x, _sizes(g, asked), asked.axes + 1
    for axis in range(asked.axes):
        sizes = [_slice(g, g.op("Shape", asked.x), axis + 2, axis + 3), _slice(g, wanted, axis, axis + 1)]
        weights = _shares(g, sizes, asked.x)
        order = list(range(last + 1))
        order[axis + 2], order[last] = last, axis + 2
        turned = g.op("MatMul", g.op("Transpose", x, perm_i=order), weights)
        x = g.op("Transpose", turned, perm_i=order)
    return x


def _shares(g: Any, sizes: list[Any], like: Any) -> Any:
    """(given, wanted), of these sizes: the share of each element in each mean, which begins and ends at whole ones."""
    none, one = _numbers(g, 0), _numbers(g, 1)
    given, wanted = sizes
    scalars = [g.op("Reshape", size, _empty(g)) for size in sizes]
    place = g.op("Unsqueeze", g.op("Range", none, scalars[0], one), _numbers(g, [1]))
    mean = g.op("Unsqueeze", g.op("Range", none, scalars[1], one), _numbers(g, [0]))
    first = g.op("Div", g.op("Mul", mean, given), wanted)
    above = g.op("Sub", g.op("Add", g.op("Mul", g.op("Add", mean, one), given), wanted), one)
    end = g.op("Div", above, wanted)
    inside = g.op("And", g.op("GreaterOrEqual", place, first), g.op("Less", place, end))
    # Counted in float64, and only then brought to the dtype of the tensor.
    share = g.op("Div", _cast(g, inside, "DOUBLE"), _cast(g, g.op("Sub", end, first), "DOUBLE"))
    return g.op("CastLike", share, like) if g.opset >= 15 else _cast(g, share, "FLOAT")


def _elements(g: Any, asked: Request, value: Any, dtype: str) -> Any:
    """A list as long as there are spatial axes, from a list, or from one number for all."""
    if value.node().kind().endswith("::Loop"):  # a list that a script appended to
        value = g.op("ConcatFromSequence", value, axis_i=0, new_axis_i=1)
    count = _length(value)
    parts: Sequence[Any] = list(value.node().inputs()) if count else [value]
    flat = [g.op("Reshape", _cast(g, part, dtype), _numbers(g, [-1])) for part in parts]
    whole = flat[0] if len(flat) == 1 else g.op("Concat", *flat, axis_i=0)
    if count is not None and count == asked.axes:
        return whole
    if asked.axes is not None:
        return g.op("Expand", whole, _numbers(g, [asked.axes]))
    rank = g.op("Shape", g.op("Shape", asked.x))
    return g.op("Expand", whole, g.op("Sub", rank, _numbers(g, [2])))


def _cast(g: Any, value: Any, dtype: str) -> Any:
    from onnx import TensorProto

    return g.op("Cast", value, to_i=TensorProto.DataType.Value(dtype))


def _numbers(g: Any, numbers: Any) -> Any:
    import torch

    return g.op("Constant", value_t=torch.tensor(numbers))


def _empty(g: Any) -> Any:
    import torch

    return g.op("Constant", value_t=torch.empty(0, dtype=torch.int64))


def _nothing(g: Any) -> Any:
    """An input that is left out."""
    value = g.op("prim::Constant")
    from torch import _C

    value.setType(_C.OptionalType.ofTensor())
    return value


def _slice(g: Any, value: Any, start: int, end: int) -> Any:
    return g.op("Slice", value, _numbers(g, [start]), _numbers(g, [end]), _numbers(g, [0]))


def _ranked(found: Any, asked: Request) -> Any:
    """The result, marked with its rank: the next operator may ask for it."""
    from torch import _C

    if asked.axes is not None and isinstance(asked.x.type(), _C.TensorType):
        found.setType(asked.x.type().with_sizes([None] * (asked.axes + 2)))
    return found

"""Images of another size: ONNX's Resize where it can say how, and elsewhere a matrix on each side.

Forms in the way of `arithmetic`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow.writer import FLOAT, INT64, Array, Writer
from toolkit.errors import UnsupportedOperator

_MAY_LACK = 13  # the opset since which Resize's regions and scales may be left out
_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


# (operator, how it places pixels) -> Resize's attributes.
_RESIZES: dict[tuple[str, str], dict[str, Any]] = {
    ("ResizeBilinear", "half_pixel"): {"mode": "linear"},
    ("ResizeBilinear", "align_corners"): {"mode": "linear"},
    ("ResizeBilinear", "asymmetric"): {"mode": "linear"},
    ("ResizeBicubic", "half_pixel"): {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},
    ("ResizeBicubic", "align_corners"): {"mode": "cubic", "cubic_coeff_a": -0.75},
    ("ResizeBicubic", "asymmetric"): {"mode": "cubic", "cubic_coeff_a": -0.75},
    ("ResizeNearestNeighbor", "half_pixel"): {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    ("ResizeNearestNeighbor", "align_corners"): {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    ("ResizeNearestNeighbor", "asymmetric"): {"mode": "nearest", "nearest_mode": "floor"},
}


def _resize(write: Writer, images: str, size: str) -> str:
    """tf2onnx takes the bicubic kernel for another, rounds nearest pixels down, and mistakes sizes."""
    placed = next((name for name in ("half_pixel_centers", "align_corners") if write.flag(name)), "asymmetric")
    placed = placed.removesuffix("_centers")
    attributes = {**_RESIZES[write.node.type, placed], "coordinate_transformation_mode": placed}
    first = write("Transpose", _as_float(write, images), perm=_TO_CHANNELS_FIRST)
    resized = write("Resize", first, _left_out(write), *_new_size(write, images, size, first), **attributes)
    return write("Transpose", resized, perm=_TO_CHANNELS_LAST)


def _new_size(write: Writer, images: str, size: str, first: str) -> list[str]:
    """Resize's inputs `scales` and `sizes`: scales where both sizes are known and the ratio is a float, else sizes.

    A ratio that was rounded puts every pixel a little off, the last ones most.
    Resize's `axes` would spare the batch, but ONNX Runtime moves transpositions across it and miscounts the sizes.
    """
    old, new = _sides(write, images), write.array(size)
    if old is not None and new is not None:
        scales = (new / old).astype(np.float32)
        if np.array_equal(scales.astype(np.float64) * old, new):
            return [write.constant(np.concatenate([np.ones(2, np.float32), scales]))]
    zero, two = (write.constant(np.array([bound], np.int64)) for bound in (0, 2))
    kept = write("Slice", write("Shape", first), zero, two)
    return [_left_out(write), write("Concat", kept, write("Cast", size, to=INT64), axis=0)]


def _sides(write: Writer, images: str) -> Array | None:
    """Height and width of images of channels last, where both are known."""
    shape = write.shape(images)
    return None if shape is None or min(shape[1:3]) < 1 else np.array(shape[1:3])


def _left_out(write: Writer) -> str:
    """An input of Resize's that is not there: in older opsets one without elements."""
    return "" if write.graph.opset >= _MAY_LACK else write.constant(np.zeros(0, np.float32))


def _bicubic(write: Writer, images: str, size: str) -> str:
    """A matrix on each side where sizes are known: ONNX Runtime moves transpositions across cubic Resize and fails."""
    known = _sides(write, images) is not None and write.array(size) is not None
    return (_separable_resize if known else _resize)(write, images, size)


def _separable_resize(write: Writer, images: str, *settings: str) -> str:
    """Bicubic, antialiased, Lanczos and area resizing: linear in rows and in columns, so a matrix on each side.

    The matrices are what TensorFlow makes of the identity.
    """
    sides = _sides(write, images)
    values = [_known(write, name) for name in settings]
    known = [value for value in values if value is not None]
    if sides is None or len(known) < len(values):
        raise UnsupportedOperator(
            f"{write.node.type} (in '{write.node.name}') can be converted for images of a fixed size alone"
        )
    rows, columns = (_resizing_matrix(write, known, int(side), axis) for axis, side in enumerate(sides))
    first = write("Transpose", _as_float(write, images), perm=_TO_CHANNELS_FIRST)
    left = write("MatMul", write.constant(rows), first)
    resized = write("MatMul", left, write.constant(np.ascontiguousarray(columns.T)))
    return write("Transpose", resized, perm=_TO_CHANNELS_LAST)


def _known(write: Writer, name: str) -> Array | None:
    """The value of a setting: a constant, or computed from constants and from the sizes of an image."""
    found = write.array(name)
    node = write.graph.get_node_by_output(name)
    if found is not None or node is None:
        return found
    if node.type == "Shape":
        return np.array(write.shape(node.input[0]))
    values = [_known(write, source) for source in node.input]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or node.type not in _COMPUTED:
        return None
    return _COMPUTED[node.type](*known)


_COMPUTED: dict[str, Callable[..., Array]] = {
    "Cast": lambda value: value.astype(np.float32),  # exact for the sizes of images
    "Div": np.divide,
    "Identity": lambda value: value,
    "RealDiv": np.divide,
    "Slice": lambda value, start, stop, _axes: value[int(start[0]) : int(stop[0])],
}


def _resizing_matrix(write: Writer, settings: list[Array], size: int, axis: int) -> Array:
    """(new size, size): the operator applied to `size` images of one pixel each, laid along one axis."""
    import tensorflow as tf

    other = 1 - axis
    new_size, *placement = [value.copy() for value in settings]
    new_size[other] = 1
    for value, neutral in zip(placement, (1.0, 0.0), strict=False):
        value[other] = neutral
    pixels = np.eye(size, dtype=np.float32).reshape((1, size, 1, size) if axis == 0 else (1, 1, size, size))
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        resized = _RESIZERS[write.node.type](tf, write, pixels, new_size, *placement)
        matrix: Array = session.run(resized).reshape(-1, size)
    return matrix


def _scale_and_translate(tf: Any, write: Writer, images: Array, size: Array, scale: Array, translation: Array) -> Any:
    kernel, antialias = write.node.get_attr("kernel_type").s, write.flag("antialias")
    return tf.raw_ops.ScaleAndTranslate(
        images=images, size=size, scale=scale, translation=translation, kernel_type=kernel, antialias=antialias
    )


def _resize_area(tf: Any, write: Writer, images: Array, size: Array) -> Any:
    return tf.raw_ops.ResizeArea(images=images, size=size, align_corners=write.flag("align_corners"))


def _resize_bicubic(tf: Any, write: Writer, images: Array, size: Array) -> Any:
    placed = {name: write.flag(name) for name in ("align_corners", "half_pixel_centers")}
    return tf.raw_ops.ResizeBicubic(images=images, size=size, **placed)


_RESIZERS: dict[str, Callable[..., Any]] = {
    "ResizeArea": _resize_area,
    "ResizeBicubic": _resize_bicubic,
    "ScaleAndTranslate": _scale_and_translate,
}


def _as_float(write: Writer, images: str) -> str:
    """The images; resizing returns floats even for integers (nearest neighbours alone keep the dtype)."""
    if write.node.type == "ResizeNearestNeighbor" or write.dtype(images).kind == "f":
        return images
    return write("Cast", images, to=FLOAT)


FORMS: dict[str, Callable[..., str | None]] = {
    "ResizeArea": _separable_resize,
    "ResizeBicubic": _bicubic,
    "ResizeBilinear": _resize,
    "ResizeNearestNeighbor": _resize,
    "ScaleAndTranslate": _separable_resize,
}

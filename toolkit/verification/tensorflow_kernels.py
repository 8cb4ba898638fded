"""TensorFlow operators that have no float64 kernel, spelled out in operators that have one.

A function gets TensorFlow, the node and its inputs as float64 tensors, and returns the node's first output. Where an
operator is linear with coefficients that TensorFlow tabulates or rounds in float32, those are part of what it means:
they are taken from the operator itself, applied to single pixels, and only the sums are made in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.errors import Inconclusive

Form = Callable[..., Any]


def _batch_norm(tf: Any, node: Any, x: Any, *vectors: Any) -> Any:
    """(x - mean) * (scale / sqrt(variance + epsilon)) + offset."""
    if node.attr["is_training"].b:
        raise Inconclusive(f"'{node.name}' normalises with its batch's statistics (training mode)")
    if node.attr["data_format"].s in (b"NCHW", b"NCDHW"):
        ones = [1] * (len(node.attr["data_format"].s) - 2)
        vectors = tuple(tf.reshape(vector, [1, -1, *ones]) for vector in vectors)
    scale, offset, mean, variance = vectors
    epsilon = np.float64(np.float32(node.attr["epsilon"].f))
    return (x - mean) * (scale / tf.sqrt(variance + epsilon)) + offset


def _pool_3d(tf: Any, node: Any, x: Any) -> Any:
    """Rows and columns first, then depths: a maximum, and a mean over what is not padding, can be had axis by axis."""
    if node.attr["data_format"].s != b"NDHWC":
        raise Inconclusive(f"'{node.name}' pools channels first")
    kinds = {"MaxPool3D": tf.nn.max_pool2d, "AvgPool3D": tf.nn.avg_pool2d}
    pool, padding = kinds[node.op], node.attr["padding"].s.decode()
    sizes, strides = (list(node.attr[name].list.i)[1:4] for name in ("ksize", "strides"))
    batch, depth, height, width, channels = tf.unstack(tf.shape(x), 5)
    flat = pool(tf.reshape(x, [batch * depth, height, width, channels]), sizes[1:], strides[1:], padding)
    _, rows, columns, _ = tf.unstack(tf.shape(flat), 4)
    stacked = tf.reshape(flat, [batch, depth, rows * columns, channels])
    deep = pool(stacked, [sizes[0], 1], [strides[0], 1], padding)
    return tf.reshape(deep, [batch, -1, rows, columns, channels])


def _bilinear(tf: Any, node: Any, images: Any, size: Any) -> Any:
    """By a matrix for each side, its coordinates in float64."""
    old = tf.shape(images)[1:3]
    left, right = (_linear_weights(tf, node, old[axis], size[axis]) for axis in (0, 1))
    return tf.einsum("ih,nhwc,jw->nijc", left, tf.cast(images, tf.float64), right)


def _linear_weights(tf: Any, node: Any, old: Any, new: Any) -> Any:
    """(new, old): how much of each pixel is in each new one."""
    pixels, size, count = (
        tf.range(tf.cast(new, tf.float64), dtype=tf.float64),
        *(tf.cast(n, tf.float64) for n in (old, new)),
    )
    if node.attr["align_corners"].b:
        scale = tf.where(count > 1, (size - 1) / tf.maximum(count - 1, 1), size / count)
    else:
        scale = size / count
    half = 0.5 if node.attr["half_pixel_centers"].b else 0.0
    places = (pixels + half) * scale - half
    below = tf.floor(places)
    share = (places - below)[:, None]
    low = tf.one_hot(tf.cast(tf.maximum(below, 0), tf.int32), old, dtype=tf.float64)
    high = tf.one_hot(tf.cast(tf.minimum(tf.math.ceil(places), size - 1), tf.int32), old, dtype=tf.float64)
    return low * (1 - share) + high * share


def _by_matrices(tf: Any, node: Any, images: Any, size: Any, *placement: Any) -> Any:
    """By the matrices that the operator itself, in float32, makes of images of one pixel each."""
    old = tf.shape(images)[1:3]
    matrices = []
    for axis in (0, 1):
        count = old[axis]
        shape = [1, count, 1, count] if axis == 0 else [1, 1, count, count]
        settings = [_one_axis(tf, setting, axis, other) for setting, other in zip(placement, (1.0, 0.0), strict=False)]
        made = _RESIZERS[node.op](tf, node, tf.reshape(tf.eye(count), shape), _one_axis(tf, size, axis, 1), *settings)
        matrices.append(tf.cast(tf.reshape(made, [-1, count]), tf.float64))
    return tf.einsum("ih,nhwc,jw->nijc", matrices[0], tf.cast(images, tf.float64), matrices[1])


def _one_axis(tf: Any, pair: Any, axis: int, other: float) -> Any:
    """(rows, columns) with the axis that is not resized left as it is."""
    dtype = pair.dtype if pair.dtype.is_integer else tf.float32
    kept, neutral = tf.cast(pair[axis], dtype), tf.cast(other, dtype)
    return tf.stack([kept, neutral] if axis == 0 else [neutral, kept])


def _resize_bicubic(tf: Any, node: Any, images: Any, size: Any) -> Any:
    placed = {name: node.attr[name].b for name in ("align_corners", "half_pixel_centers")}
    return tf.raw_ops.ResizeBicubic(images=images, size=size, **placed)


def _resize_area(tf: Any, node: Any, images: Any, size: Any) -> Any:
    return tf.raw_ops.ResizeArea(images=images, size=size, align_corners=node.attr["align_corners"].b)


def _scale_and_translate(tf: Any, node: Any, images: Any, size: Any, scale: Any, translation: Any) -> Any:
    return tf.raw_ops.ScaleAndTranslate(
        images=images, size=size, scale=scale, translation=translation,
        kernel_type=node.attr["kernel_type"].s.decode(), antialias=node.attr["antialias"].b,
    )  # fmt: skip


_RESIZERS: dict[str, Form] = {
    "ResizeArea": _resize_area,
    "ResizeBicubic": _resize_bicubic,
    "ScaleAndTranslate": _scale_and_translate,
}


def _local_response(tf: Any, node: Any, x: Any) -> Any:
    """Divide by (bias + alpha * the sum of squares of the nearest channels) ** beta."""
    radius = node.attr["depth_radius"].i
    bias, alpha, beta = (np.float64(node.attr[name].f) for name in ("bias", "alpha", "beta"))
    squares = tf.pad(x * x, [[0, 0]] * 3 + [[radius, radius]])
    channels = tf.shape(x)[3]
    near = [squares[..., start : start + channels] for start in range(2 * radius + 1)]
    return x / tf.pow(bias + alpha * tf.add_n(near), beta)


def _contrast(tf: Any, _: Any, images: Any, factor: Any) -> Any:
    mean = tf.reduce_mean(images, [-3, -2], keepdims=True)
    return (images - mean) * tf.cast(factor, tf.float64) + mean


def _bits(tf: Any, node: Any, x: Any) -> Any:
    """Whoever looks at a float's bits (Keras' argmax, for the sign of 0) means those of a float32."""
    narrow = tf.cast(x, tf.float32) if x.dtype == tf.float64 else x
    return tf.bitcast(narrow, tf.dtypes.as_dtype(node.attr["type"].type))


def _looked_up(tf: Any, _: Any, table: Any, keys: Any, default: Any) -> Any:
    """A table stays what it was made: float32 where it holds floats."""
    narrow = [tf.cast(each, tf.float32) if each.dtype == tf.float64 else each for each in (keys, default)]
    found = tf.raw_ops.LookupTableFindV2(table_handle=table, keys=narrow[0], default_value=narrow[1])
    return tf.cast(found, default.dtype) if default.dtype == tf.float64 else found


FORMS: dict[str, Form] = {
    "AdjustContrastv2": _contrast,
    "AvgPool3D": _pool_3d,
    "Bitcast": _bits,
    "FusedBatchNorm": _batch_norm,
    "FusedBatchNormV2": _batch_norm,
    "FusedBatchNormV3": _batch_norm,
    "LRN": _local_response,
    "LookupTableFindV2": _looked_up,
    "MaxPool3D": _pool_3d,
    "ResizeArea": _by_matrices,
    "ResizeBicubic": _by_matrices,
    "ResizeBilinear": _bilinear,
    "ScaleAndTranslate": _by_matrices,
}


_RANKS = {
    "AvgPool3D": 5,
    "MaxPool3D": 5,
    "Bitcast": None,
    "LookupTableFindV2": None,
}  # of the first input; of the others it is 4


def small_graph(node: Any) -> Any:
    """A GraphDef for one node of FORMS: placeholders p0, p1, ... for its inputs in, `result` out."""
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(node.op)
    rank = _RANKS.get(node.op, 4)
    with tf.Graph().as_default() as graph:
        parts = []
        for index, argument in enumerate(definition.input_arg):
            dtype = node.attr[argument.type_attr].type if argument.type_attr else argument.type
            dtype = tf.float64 if dtype == tf.float32.as_datatype_enum else dtype
            parts.append(tf.compat.v1.placeholder(dtype, [None] * rank if rank and not index else None, f"p{index}"))
        tf.identity(FORMS[node.op](tf, node, *parts), name="result")
    return graph.as_graph_def()

"""NonMaxSuppression."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from keras import KerasTensor, ops

from exporters.onnx_to_keras import tensorflow_calls
from exporters.onnx_to_keras.operand import Constant, Operand, Scope, places, size_of, tensor
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator

LONGEST = 300  # boxes per class, chosen one after the other
_COUNTABLE = 2**31 - 1


@KERAS.op("NonMaxSuppression", since=10)
def non_max_suppression(
    boxes: KerasTensor,
    scores: KerasTensor,
    max_output_boxes_per_class: int | None = None,
    iou_threshold: Operand | None = None,
    score_threshold: Operand | None = None,
    center_point_box: int = 0,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX NonMaxSuppression: rows of image, class and box; the best box left is chosen, its like are dropped.

    As many rounds are written out as boxes may be chosen: at most `max_output_boxes_per_class`, or all there are. Of
    more than are written out, a model that is not to be `plain` has TensorFlow's own operator.
    """
    assert scope is not None
    rounds = max(max_output_boxes_per_class or 0, 0)
    count = scores.shape[2]
    rounds = min(rounds, count) if count is not None else rounds
    if rounds > LONGEST:
        return _by_tensorflow(boxes, scores, rounds, iou_threshold, score_threshold, center_point_box, scope)
    low, high, area = _corners(boxes, center_point_box)
    limit = ops.reshape(tensor(iou_threshold), ()) if iou_threshold is not None else 0.0
    lowest = float("-inf")
    left = scores
    if score_threshold is not None:
        least = ops.cast(ops.reshape(tensor(score_threshold), ()), scores.dtype)
        left = ops.where(ops.greater(scores, least), scores, ops.full_like(scores, lowest))
    numbers = ops.reshape(places(size_of(scores, 2), scope), (1, 1, -1))
    chosen, valid = [], []
    for _ in range(rounds):
        best = ops.expand_dims(ops.cast(ops.argmax(left, -1), "int64"), -1)  # (batch, classes, 1)
        alive = ops.greater(ops.max(left, -1, keepdims=True), lowest)
        chosen.append(best)
        valid.append(alive)
        overlap = _overlap(low, high, area, best)
        gone = ops.logical_or(ops.greater(overlap, limit), ops.equal(numbers, best))
        left = ops.where(gone, ops.full_like(left, lowest), left)
    if not rounds:
        return ops.cast(ops.reshape(ops.zeros_like(scores)[(slice(0, 0),)], (0, 3)), "int64")
    found = ops.stack(ops.nonzero(ops.concatenate(valid, -1)), -1)  # image, class, round, in this order
    box = ops.take(ops.reshape(ops.concatenate(chosen, -1), (-1,)), _flat(found, scores, rounds, scope), 0)
    return ops.concatenate([ops.cast(found[(slice(None), slice(0, 2))], "int64"), ops.expand_dims(box, -1)], -1)


def _by_tensorflow(
    boxes: KerasTensor,
    scores: KerasTensor,
    rounds: int,
    iou_threshold: Operand | None,
    score_threshold: Operand | None,
    center_point_box: int,
    scope: Scope,
) -> KerasTensor:
    many = f"up to {rounds} boxes, more than {LONGEST}," if rounds <= _COUNTABLE else "as many boxes as there are"
    tensorflow_calls.require(scope, f"NonMaxSuppression of {many}")
    images, classes = scores.shape[:2]
    if images is None or classes is None:
        raise UnsupportedOperator(f"NonMaxSuppression of {many} has no Keras form for an open number of images")
    least = score_threshold if score_threshold is not None else Constant(np.float32(-np.inf), "lowest", scope)
    limit = iou_threshold if iou_threshold is not None else Constant(np.float32(0.0), "limit", scope)
    low, high, _ = _corners(boxes, center_point_box)
    corners = ops.stack([ops.squeeze(side, 1) for side in (*low, *high)], -1)

    def suppress(tensors: list[Any]) -> Any:
        corners, scores, limit, least = tensors
        most = tf.minimum(tf.constant(min(rounds, _COUNTABLE), tf.int32), tf.shape(scores)[2])
        found = [tf.zeros((0, 3), tf.int64)]
        for image in range(images):
            for kind in range(classes):
                chosen = tf.image.non_max_suppression(corners[image], scores[image, kind], most, limit, least)
                which = tf.broadcast_to(tf.constant([[image, kind]], tf.int64), (tf.shape(chosen)[0], 2))
                found.append(tf.concat([which, tf.cast(chosen, tf.int64)[:, None]], 1))
        return tf.concat(found, 0)

    given = [corners, scores, *(ops.reshape(tensor(value), ()) for value in (limit, least))]
    return tensorflow_calls.TensorFlowCall(suppress, [], scope.name("suppression"))(given)


def _flat(found: KerasTensor, scores: KerasTensor, rounds: int, scope: Scope) -> KerasTensor:
    """The numbers of the elements at the rows of `found` in (batch, classes, rounds)."""
    image, kind, turn = (ops.cast(found[(slice(None), i)], "int64") for i in range(3))
    classes = size_of(scores, 1)
    many = classes if isinstance(classes, int) else classes.as_tensor()
    return ops.add(ops.multiply(ops.add(ops.multiply(image, many), kind), rounds), turn)


def _corners(boxes: KerasTensor, center_point_box: int) -> tuple[list[KerasTensor], list[KerasTensor], KerasTensor]:
    """Along both axes the smaller and the larger corner (batch, 1, boxes), and the area."""
    a, b, c, d = (ops.expand_dims(boxes[(slice(None), slice(None), i)], 1) for i in range(4))
    if center_point_box:
        half_width, half_height = ops.divide(c, 2.0), ops.divide(d, 2.0)
        low = [ops.subtract(a, half_width), ops.subtract(b, half_height)]
        high = [ops.subtract(a, ops.negative(half_width)), ops.subtract(b, ops.negative(half_height))]
    else:
        low, high = [ops.minimum(a, c), ops.minimum(b, d)], [ops.maximum(a, c), ops.maximum(b, d)]
    area = ops.multiply(ops.subtract(high[0], low[0]), ops.subtract(high[1], low[1]))
    return low, high, area


def _overlap(low: list[KerasTensor], high: list[KerasTensor], area: KerasTensor, best: KerasTensor) -> KerasTensor:
    """Intersection over union of each class's best box with every box (batch, classes, boxes)."""
    common = None
    for start, end in zip(low, high, strict=True):
        first, last = ops.take_along_axis(start, best, 2), ops.take_along_axis(end, best, 2)
        span = ops.maximum(ops.subtract(ops.minimum(last, end), ops.maximum(first, start)), 0.0)
        common = span if common is None else ops.multiply(common, span)
    both = ops.subtract(ops.take_along_axis(area, best, 2), ops.negative(area))
    return ops.divide_no_nan(common, ops.subtract(both, common))

"""Keras' recurrent layers, traced as loops that LiteRT has operators for.

Keras keeps what every step gives in a list of tensors. LiteRT has no such lists, and TensorFlow's converter turns them
into tensors only where the batch size is fixed. This loop keeps one tensor instead, and each step writes its row:
that is right for every batch size and every length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Step = Callable[[Any, Any], tuple[Any, Any]]


def rnn(
    step_function: Step,
    inputs: Any,
    initial_states: Any,
    go_backwards: bool = False,
    mask: Any = None,
    constants: Sequence[Any] | None = None,
    unroll: bool = False,  # noqa: ARG001 - a loop of this kind need not be unrolled
    input_length: Any = None,  # noqa: ARG001 - Keras reads it only where there is a mask
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, Any]:
    """As `keras.src.backend.rnn`: the last output, all of them, and the last states."""
    import tensorflow as tf
    from keras.src import tree

    lines = [each if time_major else _swapped(tf, each) for each in tree.flatten(inputs)]
    kept = None if mask is None else _swapped(tf, mask) if len(mask.shape) > 1 and not time_major else mask
    length = tf.shape(lines[0])[0]
    first = tree.flatten(initial_states)

    def taken(time: Any) -> tuple[Any, Any]:
        place = length - 1 - time if go_backwards else time
        rows = tree.pack_sequence_as(inputs, [tf.gather(each, place) for each in lines])
        return rows, None if kept is None else tf.gather(kept, place)

    def stepped(rows: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        packed = tree.pack_sequence_as(initial_states, list(states))
        output, fresh = step_function(rows, tuple(packed) + tuple(constants or ()))
        return output, tree.flatten(fresh)

    like, _ = stepped(taken(tf.constant(0))[0], first)
    sizes = _sizes(tf, like, lines[0])
    nothing = tf.zeros(sizes, like.dtype)
    nothing.set_shape(like.shape)
    buffer = tf.zeros(tf.concat([[length if return_all_outputs else 1], sizes], 0), like.dtype)
    buffer.set_shape([None, *like.shape])

    def body(time: Any, buffer: Any, last: Any, *states: Any) -> tuple[Any, ...]:
        rows, on = taken(time)
        output, fresh = stepped(rows, states)
        if on is not None:
            output = _where(tf, on, output, nothing if zero_output_for_mask else last)
            fresh = [_where(tf, on, new, old) for new, old in zip(fresh, states, strict=True)]
        written = buffer if not return_all_outputs else _written(tf, buffer, time, output)
        return (time + 1, written, output, *fresh)

    start = (tf.constant(0), buffer, nothing, *first)
    shapes = tuple(each.shape for each in start)
    _, buffer, last, *states = tf.while_loop(lambda time, *_: time < length, body, start, shape_invariants=shapes)
    outputs = buffer if return_all_outputs else tf.expand_dims(last, 0)
    return last, outputs if time_major else _swapped(tf, outputs), tree.pack_sequence_as(initial_states, states)


def _sizes(tf: Any, like: Any, line: Any) -> Any:
    """The shape of one step's output; where only the batch varies, without computing that output for it."""
    fixed = like.shape[1:]
    return tf.concat([tf.shape(line)[1:2], list(fixed)], 0) if fixed.is_fully_defined() else tf.shape(like)


def _swapped(tf: Any, x: Any) -> Any:
    """Time and batch in each other's place."""
    return tf.transpose(x, [1, 0, *range(2, len(x.shape))])


def _where(tf: Any, on: Any, x: Any, otherwise: Any) -> Any:
    on = tf.cast(on, "bool")
    while len(on.shape) < len(x.shape):
        on = tf.expand_dims(on, -1)
    return tf.where(on, x, otherwise)


def _written(tf: Any, buffer: Any, time: Any, row: Any) -> Any:
    """`buffer` with the row at `time` replaced."""
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    start = tf.concat([[time], tf.zeros([len(row.shape)], tf.int32)], 0)
    written = gen_xla_ops.xla_dynamic_update_slice(buffer, tf.expand_dims(row, 0), start)
    written.set_shape(buffer.shape)
    return written

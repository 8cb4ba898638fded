"""What the forms of attention share: heads, masks, the products themselves."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from exporters.graph.contributed.table import NotKnown, Value, Writer, known_size

_HEADS_AND_SIZE = 4


def heads(write: Writer, x: Value, count: int, size: int | None = None) -> Value:
    """(batch, length, count * size) -> (batch, count, length, size)."""
    return write.Transpose(write.Reshape(x, [0, 0, count, -1 if size is None else size]), perm=[0, 2, 1, 3])


def joined(write: Writer, x: Value, width: int | None = None) -> Value:
    """Undo `heads`."""
    return write.Reshape(write.Transpose(x, perm=[0, 2, 1, 3]), [0, 0, -1 if width is None else width])


def counted(write: Writer, size: Value) -> Value:
    """0, 1, 2 ... up to before the scalar `size`."""
    return write.Range(write.constant(np.int64(0)), size, write.constant(np.int64(1)))


def at_least(write: Writer, one: Value, other: Value) -> Value:
    return write.Not(write.Less(one, other))


def keys_kept(write: Writer, mask: Value, x: Value, queries: Value, keys: Value) -> Value:
    """Which keys each query may look at, of a shape that broadcasts to (batch, heads, queries, keys).

    ONNX Runtime's masks are: the number of keys of each entry; those numbers and then where each entry begins; 0 and 1
    per key; per query and key; or a square (batch, 1, longest, longest), of which the last queries are used. `x` is
    the operator's first input, whose batch tells the first two apart.
    """
    rank = write.rank(mask)
    boolean = int(ir.DataType.BOOL)
    if rank == 1:
        return _by_lengths(write, mask, x, keys)
    if rank == _HEADS_AND_SIZE:
        rows = write.Slice(mask, write.Unsqueeze(write.Sub(keys, queries), axes=[0]), _list(write, keys), [2])
        return write.Cast(write.Slice(rows, [0], _list(write, keys), [3]), to=boolean)
    return write.Cast(write.Unsqueeze(mask, axes=[1, 2] if rank == 2 else [1]), to=boolean)


def _list(write: Writer, size: Value) -> Value:
    return write.Unsqueeze(size, axes=[0])


def _by_lengths(write: Writer, mask: Value, x: Value, keys: Value) -> Value:
    """Zeros behind the mask stand for beginnings that it does not tell."""
    total, batch = known_size(mask, 0), known_size(x, 0)
    if total is not None and batch is not None and total not in (batch, 2 * batch):
        raise NotKnown("a mask of running totals")
    wide = write.Cast(mask, to=int(ir.DataType.INT64))
    entries = write.sizes(x, 0, 1)
    ends = write.Slice(wide, [0], entries, [0])
    padded = write.Concat(wide, write.Mul(ends, [0]), axis=0)
    starts = write.Slice(padded, entries, write.Mul(entries, [2]), [0])
    places = counted(write, keys)
    kept = write.And(
        write.Less(places, write.Unsqueeze(ends, axes=[1])), at_least(write, places, write.Unsqueeze(starts, axes=[1]))
    )
    return write.Unsqueeze(kept, axes=[1, 2])


def causal(write: Writer, queries: Value, keys: Value) -> Value:
    """Which keys come no later than a query, the last query being in the place of the last key."""
    rows = write.Unsqueeze(write.Add(counted(write, queries), write.Sub(keys, queries)), axes=[1])
    return at_least(write, rows, counted(write, keys))


def factor(size: int | None, scale: float | None) -> float:
    """What scores are multiplied by: 1 / sqrt(head size), unless another number is given."""
    if scale:
        return scale
    if size is None:
        raise NotKnown("the size of a head")
    return 1.0 / math.sqrt(size)


def attended(
    write: Writer,
    q: Value,
    k: Value,
    v: Value,
    *,
    like: Value,
    scale: float,
    bias: Value | None,
    mask: Value | None,
    later_shut: Value | None,
    filter_value: float,
) -> tuple[Value, Value]:
    """softmax(scale q k' + bias + masks) v, and the scores before the softmax; `like` has the dtype of all.

    What a mask shuts out counts as `filter_value` and not as nothing: where all is shut out, all counts alike. Of
    `later_shut`, the keys that are not later, the rest counts as nothing, unless there is a mask as well.
    """
    scores = write.MatMul(write.Mul(q, write.like(like, scale)), write.Transpose(k, perm=[0, 1, 3, 2]))
    if bias is not None:
        scores = write.Add(scores, bias)
    if later_shut is not None:
        lowest = filter_value if mask is not None else -np.inf
        scores = write.Where(later_shut, scores, write.like(like, lowest))
    if mask is not None:
        shut = write.Where(mask, write.like(like, 0.0), write.like(like, filter_value))
        scores = write.Add(scores, shut)
    return write.MatMul(write.Softmax(scores, axis=-1), v), scores

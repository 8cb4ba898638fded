"""Operators that select, sample or arrange: earlier or other forms of those that ONNX has today."""

from __future__ import annotations

from exporters.graph.contributed.table import DOMAIN, REWRITTEN, Known, Value, Writer

_SINCE = 20  # GridSample: from then on 'linear' and 'cubic'


@REWRITTEN.op("Pad", since=1, domain=DOMAIN)
def pad(write: Writer, data: Value, pads: Value, value: Value | None = None, mode: str = "constant") -> Value:
    """ONNX's Pad; the amounts may be a row of a matrix."""
    return write.Pad(data, write.Reshape(pads, [-1]), None if value is None else write.scalar(value), mode=mode)


@REWRITTEN.op("Unique", since=1, domain=DOMAIN, outputs=3)
def unique(write: Writer, x: Value) -> tuple[Value, Value, Value]:
    """The elements in the order in which they come first, where each element is among them, and the counts."""
    values, _, inverse, counts = write.several("Unique", 4, x, sorted=0)
    return values, inverse, counts


@REWRITTEN.op("ExpandDims", since=1, domain=DOMAIN)
def expand_dims(write: Writer, X: Value, axis: Known) -> Value:
    return write.Unsqueeze(X, axes=[int(axis.reshape(-1)[0])])


@REWRITTEN.op("Trilu", since=1, domain=DOMAIN)
def trilu(write: Writer, X: Value, k: Known | None = None, upper: int = 1) -> Value:
    return write.Trilu(X, k, upper=upper)


@REWRITTEN.op("Range", since=1, domain=DOMAIN)
def arange(write: Writer, start: Value, limit: Value, delta: Value | None = None) -> Value:
    """start, start + delta ... before limit; each may be a list of one."""
    step = write.like(start, 1) if delta is None else write.scalar(delta)
    return write.Range(write.scalar(start), write.scalar(limit), step)


@REWRITTEN.op("GatherND", since=1, domain=DOMAIN)
def gather_nd(write: Writer, data: Value, indices: Value) -> Value:
    return write.GatherND(data, indices)


@REWRITTEN.op("GridSample", since=1, domain=DOMAIN)
def grid_sample(
    write: Writer,
    X: Value,
    Grid: Value,
    align_corners: int = 0,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
) -> Value:
    newer = {"bilinear": "linear", "bicubic": "cubic"}
    name = newer.get(mode, mode) if write.opset >= _SINCE else mode
    return write.GridSample(X, Grid, align_corners=align_corners, mode=name, padding_mode=padding_mode)


@REWRITTEN.op("CDist", since=1, domain=DOMAIN)
def cdist(write: Writer, A: Value, B: Value, metric: str = "sqeuclidean") -> Value:
    """Distances of all rows of one matrix to all rows of another, or their squares."""
    apart = write.Sub(write.Unsqueeze(A, axes=[1]), write.Unsqueeze(B, axes=[0]))
    squares = write.ReduceSum(write.Mul(apart, apart), axes=[-1], keepdims=0)
    return write.Sqrt(squares) if metric == "euclidean" else squares


@REWRITTEN.op("ComplexMul", since=1, domain=DOMAIN)
def complex_mul(write: Writer, A: Value, B: Value) -> Value:
    """Products of complex numbers, each held in the last axis as two: (ac - bd, ad + bc)."""
    a, b = write.several("Split", 2, A, split=[1, 1], axis=-1)
    c, d = write.several("Split", 2, B, split=[1, 1], axis=-1)
    real = write.Sub(write.Mul(a, c), write.Mul(b, d))
    return write.Concat(real, write.Add(write.Mul(a, d), write.Mul(b, c)), axis=-1)

"""Complex numbers of a TensorFlow graph taken apart into real and imaginary halves, before tf2onnx sees them.

tf2onnx would multiply, slice and join complex tensors as if each were one of real numbers with an axis more. Here all
that is computed with them is written with their halves; only a Fourier transform takes and gives them as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from exporters.graph import tensorflow_types
from exporters.graph.tensorflow_graph import FrozenGraph
from toolkit.errors import UnsupportedOperator

Halves = tuple[str, str]  # names of tensors
Given = str | Halves  # an input: a real tensor, or a complex one
Results = list[Given]


def taken_apart(frozen: FrozenGraph) -> FrozenGraph:
    """The same graph without complex numbers but beside Fourier transforms, and as outputs.

    Raises UnsupportedOperator for operators that have no form in halves.
    """
    from tensorflow.core.framework import types_pb2

    kinds = (types_pb2.DT_COMPLEX64, types_pb2.DT_COMPLEX128)
    if not any(tensorflow_types.holds(frozen.graph_def, kind) for kind in kinds):
        return frozen
    kept = [tensor for _, tensor in (*frozen.inputs, *frozen.outputs)]
    return replace(frozen, graph_def=_Apart(frozen.graph_def, kept).graph_def)


class _Apart:
    """Holds the nodes of the new graph while it grows, and the halves of complex tensors by their names."""

    def __init__(self, graph_def: Any, kept: list[str]) -> None:
        import tensorflow as tf

        self.halves: dict[str, Halves] = {}
        self.dtypes: dict[str, Any] = {}  # of the halves, by the names of what they are halves of
        self.graph_def = type(graph_def)()
        self.graph_def.CopyFrom(graph_def)
        del self.graph_def.node[:]
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
        for op in graph.get_operations():
            if any(tensor.dtype.is_complex for tensor in (*op.inputs, *op.outputs)):
                self._take_apart(op)
            elif _calls_complex(op.node_def, graph_def):
                raise _refused(f"{op.type} (in '{op.name}'), which computes with complex numbers,")
            else:
                self.graph_def.node.append(op.node_def)
        for name in kept:
            if name in self.halves:
                self._join(name)

    def _take_apart(self, op: Any) -> None:
        rule = _RULES.get(op.type)
        if rule is None:
            raise _refused(f"{op.type} (in '{op.name}') of complex numbers")
        found = rule(self, op, [self.halves.get(tensor.name, tensor.name) for tensor in op.inputs])
        for tensor, result in zip(op.outputs, found, strict=True):
            if isinstance(result, tuple):
                self.halves[tensor.name], self.dtypes[tensor.name] = result, tensor.dtype.real_dtype
            elif result != tensor.name:
                self.make("Identity", result, dtype=tensor.dtype, name=op.name)

    def _join(self, name: str) -> None:
        """A complex tensor that somebody outside reads, under its own name, unless it is there."""
        title = name.partition(":")[0]
        if all(node.name != title for node in self.graph_def.node):
            self.complex(self.halves[name], self.dtypes[name], name=title)

    def make(self, kind: str, *inputs: str, dtype: Any, name: str | None = None, **types: Any) -> str:
        """The result of a new node whose attribute T is `dtype`."""
        node = self.graph_def.node.add()
        node.op, node.name = kind, name or f"{inputs[0].replace(':', '_')}/half_{len(self.graph_def.node)}"
        node.input.extend(inputs)
        for key, value in {"T": dtype, **types}.items():
            node.attr[key].type = value.as_datatype_enum
        return f"{node.name}:0"

    def complex(self, halves: Halves, dtype: Any, name: str | None = None) -> str:
        return self.make("Complex", *halves, dtype=dtype, name=name, Tout=_whole(dtype))

    def again(self, op: Any, inputs: list[str], title: str) -> list[str]:
        """The results of the same operator on real numbers."""
        node = self.graph_def.node.add()
        node.CopyFrom(op.node_def)
        node.name = f"{op.name}/{title}"
        del node.input[:]
        node.input.extend(inputs)
        node.attr.pop("_output_shapes", None)
        dtype = _half(op)
        for attribute in node.attr.values():
            if attribute.type == _whole(dtype).as_datatype_enum:
                attribute.type = dtype.as_datatype_enum
        return [f"{node.name}:{index}" for index in range(len(op.outputs))]


def _refused(what: str) -> UnsupportedOperator:
    return UnsupportedOperator(
        f"{what} has no form in real numbers", hint="Compute with tf.math.real and tf.math.imag there."
    )


def _calls_complex(node: Any, graph_def: Any) -> bool:
    """Whether a function that a node calls, as a loop or a branch does, computes with complex numbers more than
    transforms them.
    """
    from tensorflow.core.framework import types_pb2

    kinds = {types_pb2.DT_COMPLEX64, types_pb2.DT_COMPLEX128}
    called = {attribute.func.name for attribute in node.attr.values() if attribute.HasField("func")}
    return any(
        (inner.op not in _PLAIN and any(attribute.type in kinds for attribute in inner.attr.values()))
        or _calls_complex(inner, graph_def)
        for function in graph_def.library.function
        if function.signature.name in called
        for inner in function.node_def
    )


def _half(op: Any) -> Any:
    """The real dtype of the halves of what an operator computes with."""
    return next(tensor.dtype for tensor in (*op.inputs, *op.outputs) if tensor.dtype.is_complex).real_dtype


def _whole(dtype: Any) -> Any:
    import tensorflow as tf

    return tf.complex128 if dtype == tf.float64 else tf.complex64


def _real(given: list[Given]) -> list[str]:
    return [each[0] if isinstance(each, tuple) else each for each in given]


def _imaginary(given: list[Given]) -> list[str]:
    return [each[1] if isinstance(each, tuple) else each for each in given]


def _each(apart: _Apart, op: Any, given: list[Given]) -> Results:
    """What moves elements about or adds them up does so with both halves."""
    both = apart.again(op, _real(given), "real"), apart.again(op, _imaginary(given), "imaginary")
    return list(zip(*both, strict=True))


def _asked(apart: _Apart, op: Any, given: list[Given]) -> Results:
    """What only asks for sizes asks one half."""
    return [*apart.again(op, _real(given), "sizes")]


def _product(apart: _Apart, op: Any, given: list[Given]) -> Results:
    """(a + bi)(c + di) = (ac - bd) + (ad + bc)i, for all that is a product of its two operands."""
    if len(given) == 1:  # Einsum of one tensor
        return _each(apart, op, given)
    (a, b), (c, d) = (_pair(each) for each in given)
    dtype = _half(op)
    pairs = {"ac": (a, c), "bd": (b, d), "ad": (a, d), "bc": (b, c)}
    ac, bd, ad, bc = (apart.again(op, list(pair), title)[0] for title, pair in pairs.items())
    return [(apart.make("Sub", ac, bd, dtype=dtype), apart.make("AddV2", ad, bc, dtype=dtype))]


def _adjoint_product(apart: _Apart, op: Any, given: list[Given]) -> Results:
    """A product whose operands may be asked for conjugated and transposed: the operator transposes, this conjugates."""
    dtype = _half(op)
    turned: list[Given] = []
    for name, (real, imaginary) in zip(("adj_x", "adj_y"), map(_pair, given), strict=True):
        turned.append((real, apart.make("Neg", imaginary, dtype=dtype) if op.get_attr(name) else imaginary))
    return _product(apart, op, turned)


def _times(apart: _Apart, one: Halves, other: Halves, dtype: Any) -> Halves:
    (a, b), (c, d) = one, other
    ac, bd, ad, bc = (apart.make("Mul", *pair, dtype=dtype) for pair in ((a, c), (b, d), (a, d), (b, c)))
    return apart.make("Sub", ac, bd, dtype=dtype), apart.make("AddV2", ad, bc, dtype=dtype)


def _square_of_size(apart: _Apart, z: Halves, dtype: Any) -> str:
    squares = [apart.make("Square", half, dtype=dtype) for half in z]
    return apart.make("AddV2", *squares, dtype=dtype)


def _pair(given: Given) -> Halves:
    assert isinstance(given, tuple)
    return given


def _square(apart: _Apart, op: Any, given: list[Given]) -> Results:
    z = _pair(given[0])
    return [_times(apart, z, z, _half(op))]


def _conjugate(apart: _Apart, op: Any, given: list[Given]) -> Results:
    a, b = _pair(given[0])
    return [(a, apart.make("Neg", b, dtype=_half(op)))]


def _reciprocal(apart: _Apart, op: Any, given: list[Given]) -> Results:
    (a, b), dtype = _pair(given[0]), _half(op)
    size = _square_of_size(apart, (a, b), dtype)
    down = apart.make("Neg", apart.make("RealDiv", b, size, dtype=dtype), dtype=dtype)
    return [(apart.make("RealDiv", a, size, dtype=dtype), down)]


def _quotient(apart: _Apart, op: Any, given: list[Given]) -> Results:
    (c, d), dtype = _pair(given[1]), _half(op)
    above = _times(apart, _pair(given[0]), (c, apart.make("Neg", d, dtype=dtype)), dtype)
    size = _square_of_size(apart, (c, d), dtype)
    return [(apart.make("RealDiv", above[0], size, dtype=dtype), apart.make("RealDiv", above[1], size, dtype=dtype))]


def _exponential(apart: _Apart, op: Any, given: list[Given]) -> Results:
    (a, b), dtype = _pair(given[0]), _half(op)
    size = apart.make("Exp", a, dtype=dtype)
    turns = (apart.make(kind, b, dtype=dtype) for kind in ("Cos", "Sin"))
    real, imaginary = (apart.make("Mul", size, turn, dtype=dtype) for turn in turns)
    return [(real, imaginary)]


def _size(apart: _Apart, op: Any, given: list[Given]) -> Results:
    dtype = _half(op)
    return [apart.make("Sqrt", _square_of_size(apart, _pair(given[0]), dtype), dtype=dtype)]


def _angle(apart: _Apart, op: Any, given: list[Given]) -> Results:
    a, b = _pair(given[0])
    return [apart.make("Atan2", b, a, dtype=_half(op))]


def _cast(apart: _Apart, op: Any, given: list[Given]) -> Results:
    """Of a complex number made real the real half is left; one made of a real one has no other."""
    (source,), (target,) = op.inputs, op.outputs
    have, want = source.dtype.real_dtype, target.dtype.real_dtype

    def cast(value: str) -> str:
        return value if have == want else _cast_node(apart, value, have, want)

    if not isinstance(given[0], tuple):
        real = cast(given[0])
        return [(apart.make("Identity", real, dtype=want), apart.make("ZerosLike", real, dtype=want))]
    real, imaginary = given[0]
    return [(cast(real), cast(imaginary)) if target.dtype.is_complex else cast(real)]


def _cast_node(apart: _Apart, value: str, have: Any, want: Any) -> str:
    result = apart.make("Cast", value, dtype=have, SrcT=have, DstT=want)
    apart.graph_def.node[-1].attr.pop("T", None)
    return result


def _written(apart: _Apart, op: Any, _: list[Given]) -> Results:
    import tensorflow as tf

    values = tf.make_ndarray(op.node_def.attr["value"].tensor)
    names = []
    for half, array in (("real", np.real(values)), ("imaginary", np.imag(values))):
        node = apart.graph_def.node.add()
        node.op, node.name = "Const", f"{op.name}/{half}"
        node.attr["dtype"].type = _half(op).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array, shape=array.shape))
        names.append(f"{node.name}:0")
    return [(names[0], names[1])]


def _transform(apart: _Apart, op: Any, given: list[Given]) -> Results:
    """A Fourier transform is left, between halves that are joined and taken apart again."""
    dtype = _half(op)
    joined = [apart.complex(each, dtype) if isinstance(each, tuple) else each for each in given]
    node = apart.graph_def.node.add()
    node.CopyFrom(op.node_def)
    del node.input[:]
    node.input.extend(joined)
    (result,) = op.outputs
    if not result.dtype.is_complex:
        return [result.name]
    halves = [apart.make(kind, result.name, dtype=result.dtype, Tout=dtype) for kind in ("Real", "Imag")]
    return [(halves[0], halves[1])]


Rule = Callable[[_Apart, Any, list[Given]], Results]
_LINEAR = (
    "Add", "AddN", "AddV2", "BroadcastTo", "ConcatV2", "Cumsum", "ExpandDims", "GatherNd", "GatherV2", "Identity",
    "MatrixBandPart", "MatrixDiagPartV3", "MatrixDiagV3", "Mean", "MirrorPad", "Neg", "Pack", "Pad", "Reshape",
    "ReverseV2", "Roll", "ScatterNd", "Select", "SelectV2", "Slice", "Snapshot", "Split", "SplitV", "Squeeze",
    "StopGradient", "StridedSlice", "Sub", "Sum", "TensorScatterAdd", "TensorScatterUpdate", "Tile", "Transpose",
    "Unpack", "ZerosLike",
)  # fmt: skip
_TRANSFORMS = ("FFT", "FFT2D", "FFT3D", "IFFT", "IFFT2D", "IFFT3D", "IRFFT", "RFFT")
_PLAIN = frozenset({*_TRANSFORMS, "Complex", "ComplexAbs", "Identity", "Imag", "Real"})  # `spectral` has forms of these
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_LINEAR, _each),
    **dict.fromkeys(("Rank", "Shape", "Size"), _asked),
    **dict.fromkeys(("Einsum", "MatMul", "Mul"), _product),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2"), _adjoint_product),
    **dict.fromkeys(("Div", "RealDiv"), _quotient),
    **dict.fromkeys(_TRANSFORMS, _transform),
    **dict.fromkeys(("Inv", "Reciprocal"), _reciprocal),
    "Angle": _angle,
    "Cast": _cast,
    "Complex": lambda _, __, given: [(str(given[0]), str(given[1]))],
    "ComplexAbs": _size,
    "Conj": _conjugate,
    "Const": _written,
    "Exp": _exponential,
    "Imag": lambda _, __, given: [_pair(given[0])[1]],
    "Real": lambda _, __, given: [_pair(given[0])[0]],
    "Square": _square,
}

"""Damaged ONNX models, the same ones for the same seed: bytes changed, cut and doubled, and graphs taken apart."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def small_model() -> onnx.ModelProto:
    """A small model of everything that readers treat apart: attributes, constants, a subgraph, several operators."""
    rng = np.random.default_rng(0)
    weights = {
        "conv.weight": rng.normal(size=(4, 3, 3, 3)), "scale": np.ones(4), "shift": np.zeros(4), "mean": np.zeros(4),
        "var": np.ones(4), "fc.weight": rng.normal(size=(4, 5)),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()]
    tensors += [numpy_helper.from_array(np.array(array, np.int64), name) for name, array in _INTEGERS.items()]
    branches = {
        f"{kind}_branch": helper.make_graph(
            [helper.make_node(operator, ["logits"], [f"{kind}_result"], name=f"{kind}_node")],
            kind, [], [helper.make_tensor_value_info(f"{kind}_result", TensorProto.FLOAT, None)],
        )
        for kind, operator in (("then", "Softmax"), ("else", "Sigmoid"))
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["a"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["a", "scale", "shift", "mean", "var"], ["b"], name="norm"),
        helper.make_node("MaxPool", ["b"], ["c"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ReduceMean", ["c", "axes"], ["d"], name="mean", keepdims=1),
        helper.make_node("Reshape", ["d", "shape"], ["e"], name="flat"),
        helper.make_node("Gemm", ["e", "fc.weight"], ["logits"], name="fc", alpha=0.5),
        helper.make_node("ReduceSum", ["logits"], ["total"], name="sum", keepdims=0),
        helper.make_node("Cast", ["total"], ["positive"], name="cast", to=TensorProto.BOOL),
        helper.make_node("If", ["positive"], ["y"], name="choice", **branches),
    ]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])], tensors,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


_INTEGERS = {"axes": [2, 3], "shape": [0, -1]}


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """`count` damaged files, each with what was done to it."""
    draw = random.Random(seed)
    whole = small_model().SerializeToString()
    for number in range(count):
        change = draw.choice(CHANGES)
        yield f"{seed}-{number}-{change.__name__.strip('_')}", change(draw, whole)


def _flip(draw: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 8])):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _overwrite(draw: random.Random, data: bytes) -> bytes:
    start = draw.randrange(len(data))
    piece = draw.choice([b"\xff", b"\x00", b"\x7f"]) * draw.randint(1, 12)
    return data[:start] + piece + data[start + len(piece) :]


def _cut(draw: random.Random, data: bytes) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.choice([1, 4, 40, len(data)]) :]


def _double(draw: random.Random, data: bytes) -> bytes:
    start = draw.randrange(len(data))
    end = min(len(data), start + draw.randint(1, 60))
    return data[:end] + data[start:end] + data[end:]


def _structural(change: Callable[[random.Random, onnx.ModelProto], None]) -> Callable[[random.Random, bytes], bytes]:
    """A change of the parsed model; what cannot be written any more is left as it was."""

    def mutate(draw: random.Random, data: bytes) -> bytes:
        proto = onnx.ModelProto.FromString(data)
        change(draw, proto)
        return proto.SerializeToString()

    mutate.__name__ = change.__name__
    return mutate


def _node(draw: random.Random, proto: onnx.ModelProto) -> onnx.NodeProto:
    return draw.choice(proto.graph.node)


def _drop_node(draw: random.Random, proto: onnx.ModelProto) -> None:
    del proto.graph.node[draw.randrange(len(proto.graph.node))]


def _swap_nodes(draw: random.Random, proto: onnx.ModelProto) -> None:
    first, second = draw.sample(range(len(proto.graph.node)), 2)
    kept = onnx.NodeProto.FromString(proto.graph.node[first].SerializeToString())
    proto.graph.node[first].CopyFrom(proto.graph.node[second])
    proto.graph.node[second].CopyFrom(kept)


def _rename_operator(draw: random.Random, proto: onnx.ModelProto) -> None:
    names = ["Relu", "Loop", "Scan", "LSTM", "Concat", "Slice", "Transpose", "Resize", "Nonsense", "Split", "Pad", ""]
    _node(draw, proto).op_type = draw.choice(names)


def _rewire(draw: random.Random, proto: onnx.ModelProto) -> None:
    values = [name for node in proto.graph.node for name in node.output] + ["x", "", "nowhere", "scale", "shape"]
    node = _node(draw, proto)
    node.input[draw.randrange(len(node.input))] = draw.choice(values)


def _drop_input(draw: random.Random, proto: onnx.ModelProto) -> None:
    node = _node(draw, proto)
    del node.input[draw.randrange(len(node.input))]


def _extra_output(draw: random.Random, proto: onnx.ModelProto) -> None:
    _node(draw, proto).output.append(draw.choice(["more", "a", ""]))


def _odd_attribute(draw: random.Random, proto: onnx.ModelProto) -> None:
    nodes = [node for node in proto.graph.node if node.attribute]
    attribute = draw.choice(draw.choice(nodes).attribute)
    odd: list[object] = [-1, 0, 2**40, [0], [-5, 7], [2**31] * 4, 0.5, "text", [1.5]]
    attribute.CopyFrom(helper.make_attribute(attribute.name, draw.choice(odd)))


def _drop_attribute(draw: random.Random, proto: onnx.ModelProto) -> None:
    nodes = [node for node in proto.graph.node if node.attribute]
    node = draw.choice(nodes)
    del node.attribute[draw.randrange(len(node.attribute))]


def _odd_shape(draw: random.Random, proto: onnx.ModelProto) -> None:
    tensor = draw.choice(proto.graph.initializer)
    tensor.dims[0] = draw.choice([0, -1, 1, 2**62, tensor.dims[0] + 1])


def _odd_type(draw: random.Random, proto: onnx.ModelProto) -> None:
    draw.choice(proto.graph.initializer).data_type = draw.choice([0, 6, 7, 8, 9, 10, 16, 21, 22, 99])


def _odd_values(draw: random.Random, proto: onnx.ModelProto) -> None:
    tensor = next(
        t for t in proto.graph.initializer if (t.name in _INTEGERS and draw.random() < 0.5) or t.name == "shape"
    )
    values = [draw.choice([0, -1, 7, 2**62, -(2**63)]) for _ in range(2)]
    tensor.CopyFrom(numpy_helper.from_array(np.array(values, np.int64), tensor.name))


def _odd_opset(draw: random.Random, proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = draw.choice([-1, 0, 1, 5, 9, 11, 13, 21, 99, 2**40])


def _odd_input(draw: random.Random, proto: onnx.ModelProto) -> None:
    kind = proto.graph.input[0].type.tensor_type
    draw.choice([
        lambda: kind.shape.dim.add(dim_value=-3), lambda: kind.ClearField("shape"), kind.shape.dim[0].Clear,
        lambda: proto.graph.input.append(proto.graph.input[0]), lambda: kind.ClearField("elem_type"),
        lambda: setattr(kind, "elem_type", draw.choice([7, 8, 9, 99])),
        lambda: setattr(proto.graph.input[0], "name", draw.choice(["", "scale", "for", "a b"])),
    ])()  # fmt: skip


def _odd_output(draw: random.Random, proto: onnx.ModelProto) -> None:
    draw.choice([
        proto.graph.output.pop, lambda: setattr(proto.graph.output[0], "name", "nowhere"),
        lambda: proto.graph.output.append(proto.graph.output[0]),
        lambda: setattr(proto.graph.output[0], "name", "x"), lambda: setattr(proto.graph.output[0], "name", "scale"),
    ])()  # fmt: skip


BYTES = (_flip, _overwrite, _cut, _double)
GRAPHS = (
    _drop_node, _swap_nodes, _rename_operator, _rewire, _drop_input, _extra_output, _odd_attribute, _drop_attribute,
    _odd_shape, _odd_type, _odd_values, _odd_opset, _odd_input, _odd_output,
)  # fmt: skip
CHANGES = BYTES + tuple(_structural(change) for change in GRAPHS)

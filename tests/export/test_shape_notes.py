"""What PyTorch's exporter notes of the shapes within a graph, where sizes are free: only what follows is kept."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime

from exporters import to_onnx
from toolkit.signature import Signature, TensorSpec

# The example's sides were halved to 1, and some notes tell that for every image's.
NOTED = """
<ir_version: 10, opset_import: ["" : 18]>
net (float[batch, 1, height, width] x) => (float[batch, 1, h, w] y)
<float[batch, 1, 1, 1] pooled, float[batch, 1, 1, 1] doubled, float[batch, 1, 1, 1] mean>
{
    pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
    mean = ReduceMean <keepdims = 1> (pooled)
    doubled = Add (pooled, pooled)
    y = Sub (doubled, mean)
}
"""
# The example had 9 steps, which PyTorch took for fixed behind the layer; its 4 features are. What a computed Reshape
# gives is known by the notes alone.
STEPS = """
<ir_version: 10, opset_import: ["" : 18]>
net (float[batch, seq, 4] x, int64[3] sizes) => (float[b, s, 4] y)
<float[batch, 9, 4] turned, float[2, 9, 4] shaped>
{
    turned = Reshape (x, sizes)
    shaped = Relu (turned)
    y = Neg (shaped)
}
"""


def _forgotten(text: str, *inputs: TensorSpec) -> ir.Model:
    signature = Signature(inputs, (TensorSpec("y", "float32", ()),))
    found = to_onnx._without_sizes_of_the_example(ir.from_proto(onnx.parser.parse_model(text)), signature)
    assert isinstance(found, ir.Model)
    return found


def test_numbers_of_steps_are_not_noted_for_all() -> None:
    graph = _forgotten(STEPS, TensorSpec("x", "float32", ("batch", "seq", 4)), TensorSpec("sizes", "int64", (3,)))
    turned, shaped, _ = (value.shape for node in graph.graph for value in node.outputs)
    assert turned is not None
    assert shaped is not None
    assert (str(turned[0]), isinstance(turned[1], int), turned[2]) == ("batch", False, 4)
    assert (shaped[0], isinstance(shaped[1], int), shaped[2]) == (2, False, 4), "a size of 2 is a true one, mostly"


def test_sizes_of_the_example_are_not_noted_for_all() -> None:
    graph = _forgotten(NOTED, TensorSpec("x", "float32", ("batch", 1, "height", "width")))
    shapes = {value.name: value.shape for node in graph.graph for value in node.outputs}
    assert shapes["pooled"][1] == 1, "what follows is kept"
    assert not isinstance(shapes["pooled"][2], int)
    assert not isinstance(shapes["doubled"][3], int)
    assert list(shapes["mean"]) == [1, 1, 1, 1], "what follows is right where the note was wrong"
    assert [str(size) for size in shapes["y"]] == ["batch", "1", "h", "w"], "the interface is the signature's business"
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    x = np.arange(2 * 8 * 6, dtype=np.float32).reshape(2, 1, 8, 6)
    largest = 2 * x[:, :, 1::2, 1::2]
    assert np.array_equal(session.run(None, {"x": x})[0], largest - largest.mean() / 2)

"""Sizes in graphs: PyTorch calls some by products (`4*batch`), and TensorFlow holds them in int32."""

from __future__ import annotations

import subprocess
import sys

BUILD = """
import numpy as np, onnx
from exporters import onnx_to_keras

text = '''<ir_version: 8, opset_import: ["": 18]>
agraph (float[batch,4,6] x) => (float[batch,4,6] y) <float["4*batch",6] rows, float[6,"4*batch"] turned> {
    flat = Constant <value = int64[2] {-1, 6}> ()
    rows = Reshape (x, flat)
    turned = Transpose <perm = [1, 0]> (rows)
    half = Identity (turned)
    back = Transpose <perm = [1, 0]> (half)
    first = Shape <start = 0, end = 1> (x)
    rest = Constant <value = int64[2] {4, -1}> ()
    sizes = Concat <axis = 0> (first, rest)
    y = Reshape (back, sizes)
}'''
built = onnx_to_keras.build(onnx.parser.parse_model(text))
x = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
print(built.outputs[0].shape, np.array_equal(built(x), x))
"""


SPLIT = """
import numpy as np, onnx
from exporters import onnx_to_keras

text = '''<ir_version: 8, opset_import: ["": 18]>
agraph (float[batch,4] x) => (float[batch,4] y) {
    sizes = Shape (x)
    narrow = Cast <to = 6> (sizes)
    rows, columns = Split <num_outputs = 2> (narrow)
    many = Mul (rows, columns)
    number = Cast <to = 1> (many)
    y = Mul (x, number)
}'''
built = onnx_to_keras.build(onnx.parser.parse_model(text))
x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
print(np.array_equal(built(x), x * 12))
"""


def test_sizes_in_fewer_bits_are_taken_apart() -> None:
    done = subprocess.run([sys.executable, "-c", SPLIT], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["True"], done.stderr


def test_a_product_of_the_batch_is_the_batch_so_many_times() -> None:
    done = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["(None, 4, 6) True"], done.stderr

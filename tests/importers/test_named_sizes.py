"""Sizes that PyTorch calls by products (`4*batch`) are those products: what is left of a Reshape is known."""

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


def test_a_product_of_the_batch_is_the_batch_so_many_times() -> None:
    done = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["(None, 4, 6) True"], done.stderr

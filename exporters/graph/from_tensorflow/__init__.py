"""A frozen TensorFlow graph as ONNX: tf2onnx, with what it lacks added and what it gets wrong put right.

`complex_numbers` takes these apart, `rewrites` gives patterns a better form first, `operators` holds TensorFlow
operators that tf2onnx has no form of, or a wrong one, and `convert` runs it on a frozen graph and refuses what it left
unconverted.
"""

from exporters.graph.from_tensorflow.convert import to_onnx

__all__ = ["to_onnx"]

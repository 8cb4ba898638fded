"""A frozen TensorFlow graph as ONNX: tf2onnx, with what it lacks added and what it gets wrong put right.

`convert` runs it on a frozen graph and refuses what it left unconverted. Before it `complex_numbers` takes those apart,
and `rewrites` gives patterns a better form; `operators` is the table of what ONNX says in other words, with the words
by subject: `arithmetic`, `colours`, `convolution`, `lookup`, `matrices`, `places`, `resizing`, `segments`, `spectral`,
`systems`.
"""

from exporters.graph.from_tensorflow.convert import to_onnx

__all__ = ["to_onnx"]

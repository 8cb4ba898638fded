"""Convolutions, the biases that follow them, and patches: forms in the way of `arithmetic`, and handlers.

A handler changes tf2onnx's graph in place: `graph` is its Graph, `node` the TensorFlow node.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow.writer import INT64, Writer


def _bias_add(write: Writer, value: str, bias: str) -> str:
    """tf2onnx forgets that the channels come first where the bias is a variable that is read."""
    data_format = write.node.get_attr("data_format")
    if data_format is not None and b"NC" in data_format.s:
        ones = len(write.graph.get_shape(value)) - 2
        bias = write("Reshape", bias, write.constant(np.array([-1] + [1] * ones, np.int64)))
    return write("Add", value, bias)


def _patches(write: Writer, images: str) -> str | None:
    """A convolution with one kernel for each pixel of a patch: (batch, rows, columns, patch * channels)."""
    sizes, strides, rates = (list(write.node.get_attr(name).ints)[1:3] for name in ("ksizes", "strides", "rates"))
    shape = write.shape(images)
    if shape is None or shape[-1] < 1 or write.dtype(images).kind != "f":
        return None
    count = sizes[0] * sizes[1] * shape[-1]
    one_hot = np.eye(count, dtype=write.dtype(images)).reshape(count, *sizes, shape[-1]).transpose(0, 3, 1, 2)
    first = write("Transpose", images, perm=[0, 3, 1, 2])
    padding = "SAME_UPPER" if write.node.get_attr("padding").s == b"SAME" else "VALID"
    if padding != "VALID" and max(rates) > 1:
        reach = [(size - 1) * rate for size, rate in zip(sizes, rates, strict=True)]
        first, padding = _padded_same(write, first, strides, reach), "VALID"
    found = write(
        "Conv", first, write.constant(one_hot), strides=strides, dilations=rates, auto_pad=padding, kernel_shape=sizes
    )
    return write("Transpose", found, perm=[0, 2, 3, 1])


def _padded_same(write: Writer, images: str, strides: list[int], reach: list[int], value: float = 0) -> str:
    """`value` around the last two axes, as TensorFlow's SAME has it: ONNX Runtime has no such padding where kernels
    are dilated. `reach` is how far a kernel goes beyond its first pixel.
    """

    def numbers(*values: int) -> str:
        return write.constant(np.array(values, np.int64))

    sizes = write("Slice", write("Shape", images), numbers(2), numbers(4))
    behind = write("Sub", sizes, numbers(1))  # of pixels, counted from the first one
    last = write("Mul", write("Div", behind, numbers(*strides)), numbers(*strides))
    total = write("Max", write("Sub", write("Add", last, numbers(*reach)), behind), numbers(0))
    before = write("Div", total, numbers(2))
    none = numbers(0, 0)
    pads = write("Concat", none, before, none, write("Sub", total, before), axis=0)
    return write("Pad", images, pads, write.like(images, value))


def _dilated(write: Writer, images: str, kernel: str) -> str | None:
    """The largest of the sums of a kernel's elements and the pixels below them: grey-scale morphology."""
    strides, rates = (list(write.node.get_attr(name).ints)[1:3] for name in ("strides", "rates"))
    size = (write.shape(kernel) or [])[:2]
    if len(size) != 2 or min(size) < 1:
        return None
    reach = [(count - 1) * rate for count, rate in zip(size, rates, strict=True)]
    pixels = write("Transpose", images, perm=[0, 3, 1, 2])
    if write.node.get_attr("padding").s == b"SAME":
        pixels = _padded_same(write, pixels, strides, reach, -np.inf)
    axes, steps = (write.constant(np.array(values, np.int64)) for values in ([2, 3], strides))
    found: list[str] = []
    for place in np.ndindex(*size):
        start = np.array(place) * rates
        # an end counted from behind, where 0 would be the start
        end = np.where(start == reach, np.iinfo(np.int64).max, start - reach)
        below = write("Slice", pixels, write.constant(start), write.constant(end), axes, steps)
        element = write("Gather", kernel, write.constant(np.array(place[0], np.int64)), axis=0)
        element = write("Gather", element, write.constant(np.array(place[1], np.int64)), axis=0)
        found.append(write("Add", below, write("Reshape", element, write.constant(np.array([-1, 1, 1], np.int64)))))
    return write("Transpose", write("Max", *found), perm=[0, 2, 3, 1])


def _regrouped(write: Writer, x: str, *, kind: str) -> str:
    """Pixels into channels and back, for images of any size: tf2onnx reshapes by sizes that it must know."""
    size = int(write.node.get_attr("block_size").i)
    data_format = write.node.get_attr("data_format")
    if data_format is not None and data_format.s == b"NCHW":
        return write(kind, x, blocksize=size)
    first = write("Transpose", x, perm=[0, 3, 1, 2])
    return write("Transpose", write(kind, first, blocksize=size), perm=[0, 2, 3, 1])


def _grouped_convolution(graph: Any, node: Any) -> None:
    """tf2onnx does not see the groups of a Conv3D: input channels over the kernel's."""
    from tf2onnx.onnx_opset import nn

    channels = graph.get_shape(node.input[0])[-1 if _channels_last(node) else 1]
    kernel_channels = graph.get_shape(node.input[1])[-2]
    nn.ConvOp.version_13(graph, node)
    if min(channels, kernel_channels) > 0:
        node.set_attr("group", channels // kernel_channels)


def _transposed_convolution(graph: Any, node: Any) -> None:
    """tf2onnx writes negative pads where the output is longer than the kernels reach, and adds no bias there.

    TensorFlow gives the output's size O. Kernels of reach K = (kernel - 1) * dilation + 1 cover
    L = (I - 1) * stride + K elements; if L is more than O, L - O are cut off, at the start as many as the padding says
    or the smaller half of them; if it is less, zeros follow.
    """
    from tf2onnx.onnx_opset import nn

    spatial = 3 if node.type == "Conv3DBackpropInputV2" else 2
    node.type = "ConvTranspose"
    kernel = nn.conv_kernel_shape(graph, node, 1, spatial=spatial)
    strides = nn.conv_dims_attr(node, "strides", spatial=spatial)
    dilations = nn.conv_dims_attr(node, "dilations", spatial=spatial)
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations or [1] * spatial, strict=True)]
    sizes, weight, images, *bias = node.input
    graph.replace_inputs(node, [images, weight, *bias])
    first = 1 if _channels_last(node) else 2
    given, wanted = (graph.get_shape(name)[first : first + spatial] for name in (images, node.output[0]))
    starts = _explicit_starts(node, first, spatial)
    if min(*given, *wanted) > 0:
        _pad_statically(node, given, wanted, strides, reach, starts)
    else:
        _cut_dynamically(graph, node, sizes, first, strides, reach, starts)
    nn.conv_convert_inputs(graph, node, with_kernel=True, spatial=spatial, quantization_axis=1)


def _explicit_starts(node: Any, first: int, spatial: int) -> list[int] | None:
    """How much the padding cuts off at the start of each axis, where it is given in numbers."""
    padding = node.get_attr("padding")
    if padding is None or padding.s != b"EXPLICIT":
        return None
    return list(node.get_attr("explicit_paddings").ints)[2 * first : 2 * (first + spatial) : 2]


def _pad_statically(
    node: Any, given: list[int], wanted: list[int], strides: list[int], reach: list[int], explicit: list[int] | None
) -> None:
    covered = [(size - 1) * stride + far for size, stride, far in zip(given, strides, reach, strict=True)]
    surplus = [found - size for found, size in zip(covered, wanted, strict=True)]
    starts = explicit or [max(extra, 0) // 2 for extra in surplus]
    ends = [extra - start for extra, start in zip(surplus, starts, strict=True)]
    node.set_attr("pads", starts + [max(end, 0) for end in ends])
    if min(ends) < 0:
        node.set_attr("output_padding", [max(-end, 0) for end in ends])


def _cut_dynamically(
    graph: Any, node: Any, sizes: str, first: int, strides: list[int], reach: list[int], explicit: list[int] | None
) -> None:
    """Compute as much as any output can need (O < L + stride), and cut the output out of it at run time."""
    write = Writer(graph, node)

    def numbers(*values: int) -> str:
        return write.constant(np.array(values, np.int64))

    node.set_attr("output_padding", [stride - 1 for stride in strides])
    axes = range(first, first + len(strides))
    bounds = numbers(first), numbers(first + len(strides))
    given = write("Slice", write("Shape", node.input[0]), *bounds)
    wanted = write("Slice", write("Cast", sizes, to=INT64), *bounds)
    if explicit is None:
        beyond = numbers(*(far - stride for far, stride in zip(reach, strides, strict=True)))
        covered = write("Add", write("Mul", given, numbers(*strides)), beyond)
        surplus = write("Max", write("Sub", covered, wanted), numbers(0))
        starts = write("Div", surplus, numbers(2))
    else:
        starts = numbers(*explicit)
    cut = graph.insert_new_node_on_output("Slice", node.output[0])
    graph.replace_inputs(cut, [node.output[0], starts, write("Add", starts, wanted), numbers(*axes)])
    graph.copy_shape(node.output[0], cut.output[0])
    graph.copy_dtype(node.output[0], cut.output[0])


def _channels_last(node: Any) -> bool:
    return bool(node.get_attr("data_format").s.endswith(b"C"))


FORMS: dict[str, Callable[..., str | None]] = {
    "BiasAdd": _bias_add,
    "Dilation2D": _dilated,
    "DepthToSpace": partial(_regrouped, kind="DepthToSpace"),
    "ExtractImagePatches": _patches,
    "SpaceToDepth": partial(_regrouped, kind="SpaceToDepth"),
}

HANDLERS: dict[str, Callable[[Any, Any], None]] = {
    "Conv2DBackpropInput": _transposed_convolution,
    "Conv3D": _grouped_convolution,
    "Conv3DBackpropInputV2": _transposed_convolution,
}

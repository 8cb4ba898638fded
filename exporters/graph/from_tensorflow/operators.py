"""TensorFlow operators that tf2onnx has no form of, or a wrong one: one function each, in a table by operator.

A function changes tf2onnx's graph in place: `graph` is its Graph, `node` the TensorFlow node that is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow import elementary, lookup, segments, spectral
from exporters.graph.from_tensorflow.writer import Writer
from exporters.graph.tensorflow_graph import FrozenGraph
from toolkit.errors import UnsupportedOperator

Array = np.ndarray[Any, Any]
Handler = Callable[[Any, Any], None]

_HALVES = {14: 1, 15: 11}  # ONNX's numbers for complex types, and for the floats that their halves are
_MAY_LACK = 13  # the opset since which Resize's regions and scales may be left out
_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def handlers(frozen: FrozenGraph) -> dict[str, tuple[Callable[..., None], list[Any]]]:
    """The table as tf2onnx takes it, for this graph with its lookup tables."""
    forms = elementary.FORMS | segments.FORMS | spectral.FORMS | lookup.forms(frozen.tables, frozen.graph_def)
    table = _HANDLERS | {name: _elementary(name, form) for name, form in forms.items()}
    return {name: (_adapted(handler), []) for name, handler in table.items()}


def _elementary(name: str, form: Callable[..., str | None]) -> Handler:
    def handler(graph: Any, node: Any) -> None:
        value = form(Writer(graph, node), *node.input)
        if value is None:
            _as_tf2onnx_has_it(name, graph, node)
        else:
            _replace(graph, node, value)

    return handler


def _as_tf2onnx_has_it(name: str, graph: Any, node: Any) -> None:
    """Leave a node to tf2onnx's own conversion. Raises UnsupportedOperator where it has none."""
    from tf2onnx import handler as table

    known = table.tf_op.create_mapping(graph.opset, graph.extra_opset).get(name)
    if known is None:
        raise UnsupportedOperator(f"ONNX has no form of {name} (in '{node.name}') with these settings")
    convert, settings = known
    if settings.get("onnx_op"):
        node.type = settings["onnx_op"]
    convert(graph, node, **settings)


def _adapted(handler: Handler) -> Callable[..., None]:
    def adapted(graph: Any, node: Any, _name: str, _args: Any) -> None:
        handler(graph, node)

    return adapted


def _erfc(graph: Any, node: Any) -> None:
    """Exact GELU in Keras; ONNX has Erf alone."""
    erf = graph.make_node("Erf", [node.input[0]]).output[0]
    _replace(graph, node, graph.make_node("Sub", [_constant(graph, node, 1), erf]).output[0])


def _select(graph: Any, node: Any) -> None:
    """tf2onnx multiplies by the condition, which turns an infinity that is not selected into NaN."""
    _replace(graph, node, graph.make_node("Where", list(node.input)).output[0])


def _bucketize(graph: Any, node: Any) -> None:
    """Discretization in Keras: the number of boundaries that a value is not below; what is no number is below none."""
    write, x = Writer(graph, node), node.input[0]
    dtype = write.dtype(x)
    boundaries = np.array(list(node.get_attr("boundaries").floats), np.float32)
    last = write.constant(np.array([-1], np.int64))
    column = write("Unsqueeze", x, last)
    if dtype.kind != "f":
        column = write("Cast", column, to=1)
    limits = write.constant(boundaries.astype(dtype if dtype.kind == "f" else np.float32))
    reached = write("Cast", write("Not", write("Less", column, limits)), to=6)
    _replace(graph, node, write("ReduceSum", reached, last, keepdims=0))


def _bias_add(graph: Any, node: Any) -> None:
    """tf2onnx forgets that the channels come first where the bias is a variable that is read."""
    channels_first = b"NC" in node.get_attr("data_format").s if node.get_attr("data_format") else False
    value, bias = node.input
    if channels_first:
        ones = len(graph.get_shape(value)) - 2
        column = graph.make_const(_name(node, "column"), np.array([-1] + [1] * ones, np.int64)).output[0]
        bias = graph.make_node("Reshape", [bias, column]).output[0]
    _replace(graph, node, graph.make_node("Add", [value, bias]).output[0])


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

    def constant(what: str, value: list[int]) -> str:
        return str(graph.make_const(_name(node, what), np.array(value, np.int64)).output[0])

    def made(op_type: str, *inputs: str, **attributes: Any) -> str:
        return str(graph.make_node(op_type, list(inputs), attr=attributes).output[0])

    node.set_attr("output_padding", [stride - 1 for stride in strides])
    axes = list(range(first, first + len(strides)))
    bounds = constant("first", [first]), constant("end", [first + len(strides)])
    given = made("Slice", made("Shape", node.input[0]), *bounds)
    wanted = made("Slice", made("Cast", sizes, to=7), *bounds)
    if explicit is None:
        beyond = constant("reach", [far - stride for far, stride in zip(reach, strides, strict=True)])
        covered = made("Add", made("Mul", given, constant("strides", strides)), beyond)
        surplus = made("Max", made("Sub", covered, wanted), constant("zero", [0]))
        starts = made("Div", surplus, constant("two", [2]))
    else:
        starts = constant("starts", explicit)
    cut = graph.insert_new_node_on_output("Slice", node.output[0], name=_name(node, "cut"))
    graph.replace_inputs(cut, [node.output[0], starts, made("Add", starts, wanted), constant("axes", axes)])
    graph.copy_shape(node.output[0], cut.output[0])
    graph.copy_dtype(node.output[0], cut.output[0])


# (operator, how it places pixels) -> Resize's attributes.
_RESIZES: dict[tuple[str, str], dict[str, Any]] = {
    ("ResizeBilinear", "half_pixel"): {"mode": "linear"},
    ("ResizeBilinear", "align_corners"): {"mode": "linear"},
    ("ResizeBilinear", "asymmetric"): {"mode": "linear"},
    ("ResizeBicubic", "half_pixel"): {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},
    ("ResizeBicubic", "align_corners"): {"mode": "cubic", "cubic_coeff_a": -0.75},
    ("ResizeBicubic", "asymmetric"): {"mode": "cubic", "cubic_coeff_a": -0.75},
    ("ResizeNearestNeighbor", "half_pixel"): {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    ("ResizeNearestNeighbor", "align_corners"): {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    ("ResizeNearestNeighbor", "asymmetric"): {"mode": "nearest", "nearest_mode": "floor"},
}


def _resize(graph: Any, node: Any) -> None:
    """tf2onnx takes the bicubic kernel for another, rounds nearest pixels down, and mistakes sizes."""
    placed = next((name for name in ("half_pixel_centers", "align_corners") if _flag(node, name)), "asymmetric")
    placed = placed.removesuffix("_centers")
    attributes = {**_RESIZES[node.type, placed], "coordinate_transformation_mode": placed}
    first = graph.make_node("Transpose", [_as_float(graph, node)], attr={"perm": _TO_CHANNELS_FIRST}).output[0]
    inputs = [first, _left_out(graph, node), *_new_size(graph, node, first)]
    resized = graph.make_node("Resize", inputs, attr=attributes).output[0]
    _replace(graph, node, graph.make_node("Transpose", [resized], attr={"perm": _TO_CHANNELS_LAST}).output[0])


def _new_size(graph: Any, node: Any, images: str) -> list[str]:
    """Resize's inputs `scales` and `sizes`: scales where both sizes are known and the ratio is a float, else sizes.

    A ratio that was rounded puts every pixel a little off, the last ones most.
    Resize's `axes` would spare the batch, but ONNX Runtime moves transpositions across it and miscounts the sizes.
    """
    old = np.array(graph.get_shape(node.input[0])[1:3])
    if node.inputs[1].is_const() and min(old) > 0:
        new = np.array(node.inputs[1].get_tensor_value(as_list=False))
        scales = (new / old).astype(np.float32)
        if np.array_equal(scales.astype(np.float64) * old, new):
            values = np.concatenate([np.ones(2, np.float32), scales])
            return [graph.make_const(_name(node, "scales"), values).output[0]]
    sizes = graph.make_node("Cast", [node.input[1]], attr={"to": 7}).output[0]
    zero, two = (graph.make_const(_name(node, "bound"), np.array([bound], np.int64)).output[0] for bound in (0, 2))
    kept = graph.make_node("Slice", [graph.make_node("Shape", [images]).output[0], zero, two]).output[0]
    return [_left_out(graph, node), graph.make_node("Concat", [kept, sizes], attr={"axis": 0}).output[0]]


def _left_out(graph: Any, node: Any) -> str:
    """An input of Resize's that is not there: in older opsets one without elements."""
    return "" if graph.opset >= _MAY_LACK else Writer(graph, node).constant(np.zeros(0, np.float32))


def _cropped(graph: Any, node: Any) -> None:
    """tf2onnx rounds nearest pixels down where they lie in the middle of two."""
    _as_tf2onnx_has_it(node.type, graph, node)
    for loop in graph.get_nodes():
        for body in (loop.get_body_graphs() or {}).values():
            for inner in body.get_nodes():
                if inner.type == "Resize" and inner.get_attr_str("mode") == "nearest":
                    inner.set_attr("nearest_mode", "round_prefer_ceil")


def _running_product(graph: Any, node: Any) -> None:
    """tf2onnx takes no axis that is counted from the end."""
    axis, shape = Writer(graph, node).array(node.input[1]), graph.get_shape(node.input[0])
    if axis is not None and shape is not None and axis < 0:
        counted = graph.make_const(_name(node, "axis"), axis + np.array(len(shape), axis.dtype)).output[0]
        graph.replace_inputs(node, [node.input[0], counted])
    _as_tf2onnx_has_it(node.type, graph, node)


def _bicubic(graph: Any, node: Any) -> None:
    """A matrix on each side where sizes are known: ONNX Runtime moves transpositions across cubic Resize and fails."""
    if min(graph.get_shape(node.input[0])[1:3]) > 0 and node.inputs[1].is_const():
        _separable_resize(graph, node)
    else:
        _resize(graph, node)


def _separable_resize(graph: Any, node: Any) -> None:
    """Bicubic, antialiased, Lanczos and area resizing: linear in rows and in columns, so a matrix on each side.

    The matrices are what TensorFlow makes of the identity.
    """
    height, width = graph.get_shape(node.input[0])[1:3]
    settings = [_known(graph, source) for source in node.inputs[1:]]
    known = [value for value in settings if value is not None]
    if min(height, width) < 1 or len(known) < len(settings):
        raise UnsupportedOperator(f"{node.type} (in '{node.name}') can be converted for images of a fixed size alone")
    rows, columns = _resizing_matrix(node, known, height, 0), _resizing_matrix(node, known, width, 1)
    left = graph.make_const(_name(node, "rows"), rows).output[0]
    right = graph.make_const(_name(node, "columns"), np.ascontiguousarray(columns.T)).output[0]
    first = graph.make_node("Transpose", [_as_float(graph, node)], attr={"perm": _TO_CHANNELS_FIRST}).output[0]
    resized = graph.make_node("MatMul", [graph.make_node("MatMul", [left, first]).output[0], right]).output[0]
    _replace(graph, node, graph.make_node("Transpose", [resized], attr={"perm": _TO_CHANNELS_LAST}).output[0])


def _known(graph: Any, node: Any) -> Array | None:
    """The value of a setting: a constant, or computed from constants and from the sizes of an image."""
    if node.is_const():
        return np.array(node.get_tensor_value(as_list=False))
    if node.type == "Shape":
        return np.array(graph.get_shape(node.input[0]))
    values = [_known(graph, source) for source in node.inputs]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or node.type not in _COMPUTED:
        return None
    return _COMPUTED[node.type](*known)


_COMPUTED: dict[str, Callable[..., Array]] = {
    "Cast": lambda value: value.astype(np.float32),  # exact for the sizes of images
    "Div": np.divide,
    "Identity": lambda value: value,
    "RealDiv": np.divide,
    "Slice": lambda value, start, stop, _axes: value[int(start[0]) : int(stop[0])],
}


def _resizing_matrix(node: Any, settings: list[Array], size: int, axis: int) -> Array:
    """(new size, size): the operator applied to `size` images of one pixel each, laid along one axis."""
    import tensorflow as tf

    other = 1 - axis
    new_size, *placement = [value.copy() for value in settings]
    new_size[other] = 1
    for value, neutral in zip(placement, (1.0, 0.0), strict=False):
        value[other] = neutral
    pixels = np.eye(size, dtype=np.float32).reshape((1, size, 1, size) if axis == 0 else (1, 1, size, size))
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        resized = _RESIZERS[node.type](tf, node, pixels, new_size, *placement)
        matrix: Array = session.run(resized).reshape(-1, size)
    return matrix


def _scale_and_translate(tf: Any, node: Any, images: Array, size: Array, scale: Array, translation: Array) -> Any:
    kernel, antialias = node.get_attr("kernel_type").s, _flag(node, "antialias")
    return tf.raw_ops.ScaleAndTranslate(
        images=images, size=size, scale=scale, translation=translation, kernel_type=kernel, antialias=antialias
    )


def _resize_area(tf: Any, node: Any, images: Array, size: Array) -> Any:
    return tf.raw_ops.ResizeArea(images=images, size=size, align_corners=_flag(node, "align_corners"))


def _resize_bicubic(tf: Any, node: Any, images: Array, size: Array) -> Any:
    placed = {name: _flag(node, name) for name in ("align_corners", "half_pixel_centers")}
    return tf.raw_ops.ResizeBicubic(images=images, size=size, **placed)


_RESIZERS: dict[str, Callable[..., Any]] = {
    "ResizeArea": _resize_area,
    "ResizeBicubic": _resize_bicubic,
    "ScaleAndTranslate": _scale_and_translate,
}


def _as_float(graph: Any, node: Any) -> str:
    """The images; resizing returns floats even for integers (nearest neighbours alone keep the dtype)."""
    if node.type == "ResizeNearestNeighbor" or _dtype(graph, node.input[0]).kind == "f":
        return str(node.input[0])
    return str(graph.make_node("Cast", [node.input[0]], attr={"to": 1}).output[0])


def _flag(node: Any, name: str) -> bool:
    attribute = node.get_attr(name)
    return bool(attribute and attribute.i)


def _channels_last(node: Any) -> bool:
    return bool(node.get_attr("data_format").s.endswith(b"C"))


def _dtype(graph: Any, name: str) -> np.dtype[Any]:
    import onnx

    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(graph.get_dtype(name)))


def _constant(graph: Any, node: Any, number: float) -> str:
    """A scalar of the dtype of the node's input."""
    value = np.array(number, _dtype(graph, node.input[0]))
    return str(graph.make_const(_name(node, "constant"), value).output[0])


def _name(node: Any, what: str) -> str:
    from tf2onnx import utils

    return str(utils.make_name(f"{node.name}/{what}"))


def _replace(graph: Any, node: Any, value: str) -> None:
    """Give the node's output's name, shape and dtype to `value`, and remove the node."""
    output = node.output[0]
    shape, dtype = graph.get_shape(output), graph.get_dtype(output)
    if dtype in _HALVES:  # two halves along a first axis
        shape, dtype = None if shape is None else [2, *shape], _HALVES[dtype]
    graph.remove_node(node.name)
    graph.make_node("Identity", [value], outputs=[output], name=node.name, shapes=[shape], dtypes=[dtype])


_HANDLERS: dict[str, Handler] = {
    "BiasAdd": _bias_add,
    "Bucketize": _bucketize,
    "Conv2DBackpropInput": _transposed_convolution,
    "Conv3D": _grouped_convolution,
    "Conv3DBackpropInputV2": _transposed_convolution,
    "CropAndResize": _cropped,
    "Cumprod": _running_product,
    "Erfc": _erfc,
    "ResizeArea": _separable_resize,
    "ResizeBicubic": _bicubic,
    "ResizeBilinear": _resize,
    "ResizeNearestNeighbor": _resize,
    "SelectV2": _select,
    "ScaleAndTranslate": _separable_resize,
}

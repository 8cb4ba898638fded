"""What `optimize` may change: speed and the rounding of weights, and nothing else."""

from __future__ import annotations

import io
import random

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from exporters import onnx_to_torch
from exporters.graph import clean, read
from exporters.graph.fold_batchnorm import fold_batchnorm
from exporters.onnx_to_torch import plain

pytestmark = [
    pytest.mark.filterwarnings("ignore:The TorchScript type system:UserWarning"),  # about nn.Module itself
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

RNG = np.random.default_rng(5)


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def norm(channels: int) -> dict[str, np.ndarray]:
    return {"scale": weights(channels), "shift": weights(channels), "mean": weights(channels),
            "var": np.abs(weights(channels)) + 0.5}  # fmt: skip


NORM = ["scale", "shift", "mean", "var"]


def model(nodes, initializers, shape=("N", 4, 6, 5), opset=18, outputs=("y",)) -> onnx.ModelProto:
    """A graph from x (shape) to `outputs`, of float32 throughout."""
    made = [helper.make_node(*node[:3], name=f"{node[0]}_{i}", **(node[3] if len(node) > 3 else {}))
            for i, node in enumerate(nodes)]  # fmt: skip
    graph = helper.make_graph(
        made, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in initializers.items()],
    )  # fmt: skip
    return onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    )


def conv(*, out=8, group=1, bias=False, into=4):
    initializers = {"c.weight": weights(out, into // group, 3, 3)} | ({"c.bias": weights(out)} if bias else {})
    return ("Conv", ["x", *initializers], ["c"], {"group": group, "pads": [1, 1, 1, 1]}), initializers


def folded_operators(proto: onnx.ModelProto) -> list[str]:
    graph = clean.clean(read.read(proto))
    fold_batchnorm(graph)
    return [node.op_type for node in graph.graph]


def assert_same(proto: onnx.ModelProto, x: np.ndarray) -> None:
    """Optimised, scripted, saved and reloaded, it gives what it gives as it stands."""
    wanted = onnx_to_torch.build(proto)(torch.from_numpy(x))
    found = saved_and_loaded(onnx_to_torch.build(proto, optimize=True))(torch.from_numpy(x))
    for one, other in zip(*([found], [wanted]) if torch.is_tensor(wanted) else (found, wanted), strict=True):
        assert one.is_contiguous()
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4, equal_nan=True)


def saved_and_loaded(module):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def chains():
    """Name -> (nodes, initializers, input shape, what is left after folding)."""
    bn = ("BatchNormalization", ["c", *NORM], ["y"], {"epsilon": 0.01})
    plain, weight = conv()
    grouped, grouped_weight = conv(group=2, bias=True)
    depthwise, depthwise_weight = conv(out=4, group=4)
    up = ("ConvTranspose", ["x", "c.weight"], ["c"], {"group": 2})
    scale, shift = {"a": weights(1, 4, 1, 1)}, {"b": weights(4, 1, 1)}
    image = ("N", 4, 6, 5)
    yield "conv", [plain, bn], weight | norm(8), image, ["Conv"]
    yield "conv with groups and a bias", [grouped, bn], grouped_weight | norm(8), image, ["Conv"]
    yield "transposed", [up, bn], {"c.weight": weights(4, 3, 2, 2)} | norm(6), image, ["ConvTranspose"]
    for transposed, shape in ((0, (4, 3)), (1, (3, 4))):
        gemm = ("Gemm", ["x", "c.weight"], ["c"], {"transB": transposed})
        yield f"gemm {transposed}", [gemm, bn], {"c.weight": weights(*shape)} | norm(3), ("N", 4), ["Gemm"]
    chain = [depthwise, ("Mul", ["c", "a"], ["m"]), ("Add", ["b", "m"], ["y"])]
    yield "a chain", chain, depthwise_weight | scale | shift, image, ["Conv"]
    yield "subtracted", [depthwise, ("Sub", ["c", "b"], ["y"])], depthwise_weight | shift, image, ["Conv"]
    turned = [depthwise, ("Sub", ["b", "c"], ["y"])]
    yield "subtracted from", turned, depthwise_weight | shift, image, ["Conv", "Sub"]
    wide = [depthwise, ("Add", ["c", "b"], ["y"])]
    yield "along the width", wide, depthwise_weight | {"b": weights(5)}, image, ["Conv", "Add"]
    read_twice = [plain, bn, ("Relu", ["c"], ["z"])]
    yield "read twice", read_twice, weight | norm(8), image, ["Conv", "BatchNormalization", "Relu"]
    again = ("Conv", ["x", "c.weight"], ["z"])
    yield "weights used twice", [plain, bn, again], weight | norm(8), image, ["Conv", "Conv"]
    endless = norm(8) | {"var": np.full(8, -0.01, np.float32)}
    yield "not finite", [plain, bn], weight | endless, image, ["Conv", "BatchNormalization"]


CHAINS = {name: row for name, *row in chains()}


@pytest.mark.parametrize("name", CHAINS)
def test_folding(name):
    nodes, initializers, shape, left = CHAINS[name]
    outputs = [out for node in nodes for out in node[2] if out in ("y", "z")]
    proto = model(nodes, initializers, shape, outputs=outputs)
    assert folded_operators(proto) == left
    assert_same(proto, weights(3, *shape[1:]))


def test_without_optimize_weights_keep_their_bits():
    nodes, initializers, shape, _ = CHAINS["conv with groups and a bias"]
    module = onnx_to_torch.build(model(nodes, initializers, shape))
    assert set(module.state_dict()) == set(initializers)
    for name, tensor in module.state_dict().items():
        assert tensor.is_contiguous()
        assert tensor.numpy().tobytes() == initializers[name].tobytes()


def test_an_optimized_module_keeps_names_gradients_and_its_order_in_the_file():
    nodes, initializers, shape, _ = CHAINS["conv"]
    module = onnx_to_torch.build(model(nodes, initializers, shape), optimize=True)
    assert set(module.state_dict()) == {"c.weight", "c.bias"}
    loaded = saved_and_loaded(module)
    weight = dict(loaded.named_parameters())["c.weight"]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    loaded(torch.randn(2, *shape[1:])).sum().backward()
    assert weight.grad is not None
    doubled = loaded.double()(torch.randn(2, *shape[1:], dtype=torch.float64))
    assert doubled.dtype == torch.float64


@pytest.mark.parametrize(("channels", "last"), [(256, False), (64, True)])
def test_wide_kernels_alone_stay_as_they_are(channels, last):
    """As in VGG, where channels last would round more and gain nothing."""
    first = {"c.weight": weights(channels, 4, 3, 3)}
    second = {"d.weight": weights(64, channels, 3, 3)}
    nodes = [("Conv", ["x", *first], ["c"], {"pads": [1] * 4}), ("Conv", ["c", *second], ["y"], {"pads": [1] * 4})]
    proto = model(nodes, first | second, ("N", 4, 6, 5))
    module = onnx_to_torch.build(proto, optimize=True)
    kernel = module.get_parameter("d.weight")
    assert kernel.is_contiguous(memory_format=torch.channels_last) == last
    assert_same(proto, weights(2, 4, 6, 5))


def test_groups_are_normalised_exactly_where_channels_lie_last():
    """PyTorch's own kernel for that order is wrong by 30,000 roundings where the mean is 50 deviations away."""
    convolution, initializers = conv(out=8, bias=True)
    initializers = {"c.weight": initializers["c.weight"] * 0.01, "c.bias": np.full(8, 5, np.float32)}
    written = {"apart": np.array([0, 2, -1]), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32)}
    nodes = [
        convolution,
        ("Reshape", ["c", "apart"], ["grouped"]),
        ("InstanceNormalization", ["grouped", "one", "zero"], ["normal"]),
        ("Shape", ["c"], ["sizes"]),
        ("Reshape", ["normal", "sizes"], ["y"]),
    ]
    proto = model(nodes, initializers | written, ("N", 4, 40, 40))
    x = torch.from_numpy(weights(2, 4, 40, 40))
    wanted = onnx_to_torch.build(proto).double()(x.double())
    plainly, faster = (onnx_to_torch.build(proto, optimize=chosen)(x) for chosen in (False, True))
    error, other = ((found - wanted).abs().max().item() for found in (plainly, faster))
    assert other < 4 * error


@pytest.mark.parametrize(("strides", "product"), [([1, 1], True), ([2, 2], False)])
def test_pixels_of_many_channels_are_multiplied_where_they_are_few(strides, product):
    kernel = {"c.weight": weights(8, 600, 1, 1), "c.bias": weights(8)}
    proto = model([("Conv", ["x", *kernel], ["y"], {"strides": strides})], kernel, ("N", 600, "H", "W"))
    module = onnx_to_torch.build(proto, optimize=True)
    assert ("pointwise" in module.code) == product
    scripted = saved_and_loaded(module)
    for shape in ((1, 600, 7, 7), (2, 600, 16, 16), (1, 600, 1, 1)):  # below and above the limit
        x = torch.from_numpy(weights(*shape))
        expected = torch.conv2d(x, module.get_parameter("c.weight"), module.get_parameter("c.bias"), strides)
        assert scripted(x).is_contiguous()
        torch.testing.assert_close(scripted(x), expected, rtol=1e-5, atol=1e-4)


def geometries(count: int):
    """Random attributes of pools and convolutions, the same each time."""
    draw = random.Random(11)
    for _ in range(count):
        kernel = [draw.randint(1, 3) for _ in range(2)]
        attributes = {"kernel_shape": kernel, "strides": [draw.randint(1, 3) for _ in range(2)]}
        attributes |= {"pads": [draw.randint(0, size // 2) for size in kernel] * 2}
        if draw.random() < 0.3:
            attributes["pads"][draw.randrange(4)] += 1
        yield draw.choice(["MaxPool", "AveragePool", "Conv"]), attributes, draw.random() < 0.5, draw.randint(4, 9)


@pytest.mark.parametrize("number", range(40))
def test_plain_calls_are_what_the_functions_are(number, monkeypatch):
    operator, attributes, flag, size = list(geometries(40))[number]
    if number % 5 == 0:
        del attributes["pads"]
        attributes |= {"auto_pad": "SAME_UPPER" if flag else "SAME_LOWER"}
    elif operator != "Conv":
        attributes |= {"ceil_mode": int(flag)}
    if operator == "AveragePool":
        attributes |= {"count_include_pad": number % 2}
    weight = {"w": weights(6, 2, *attributes["kernel_shape"])} if operator == "Conv" else {}
    attributes |= {"group": 2} if weight else {}
    proto = model([(operator, ["x", *weight], ["y"], attributes)], weight, ("N", 4, "H", "W"), opset=19)
    x = weights(2, 4, size, size + 1)
    known = onnx_to_torch.build(proto)
    monkeypatch.setitem(plain.RULES, operator, lambda _: None)
    unknown = onnx_to_torch.build(proto)
    torch.testing.assert_close(known(torch.from_numpy(x)), unknown(torch.from_numpy(x)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("operator", "kernel"),
    [("Conv", 1), *((operator, kernel) for operator in ("Conv", "MaxPool", "AveragePool") for kernel in (2, 3, 4))],
)
def test_same_padding_needs_no_sizes_where_the_kernel_alone_decides(operator, kernel):
    """All that a stride of one needs to know is how far the kernel reaches; one pixel needs no padding at all."""
    weight = {"w": weights(6, 4, kernel, kernel)} if operator == "Conv" else {}
    attributes = {"auto_pad": "SAME_LOWER", "strides": [1, 1] if kernel > 1 else [2, 2]}
    attributes |= {} if weight else {"kernel_shape": [kernel, kernel]}
    proto = model([(operator, ["x", *weight], ["y"], attributes)], weight, ("N", 4, "H", "W"))
    module = onnx_to_torch.build(proto)
    asked = "conv2d" if weight else "pool2d"
    assert (asked in module.code) == (kernel % 2 == 1 or operator == "Conv")
    reference = ReferenceEvaluator(proto)
    for size in (4, 5, 6):
        x = weights(2, 4, size, 7)
        torch.testing.assert_close(module(torch.from_numpy(x)), torch.from_numpy(reference.run(None, {"x": x})[0]))


def test_ir_models_stay_untouched():
    nodes, initializers, shape, _ = CHAINS["conv"]
    given = ir.from_proto(model(nodes, initializers, shape))
    before = ir.to_proto(given).SerializeToString()
    onnx_to_torch.build(given, optimize=True)
    assert ir.to_proto(given).SerializeToString() == before


def test_a_proto_whose_normalisation_shares_tensors_stays_untouched():
    convolution, weight = conv()
    norm_of_one = ("BatchNormalization", ["c", "s", "s", "s", "var"], ["y"])
    given = model([convolution, norm_of_one], weight | {"s": weights(8), "var": norm(8)["var"]})
    before = given.SerializeToString()
    onnx_to_torch.build(given)
    assert given.SerializeToString() == before


@pytest.mark.parametrize("optimize", [False, True])
def test_sharing_takes_weights_where_they_lie_and_leaves_them_so(optimize):
    nodes, initializers, shape, _ = CHAINS["conv with groups and a bias"]
    tail = {"d.weight": weights(8, 8, 3, 3)}  # nothing is folded into this one
    given = model([*nodes, ("Conv", ["y", *tail], ["z"])], initializers | tail, shape, outputs=("z",))
    before, x = given.SerializeToString(), torch.from_numpy(weights(2, *shape[1:]))
    shared, own = (onnx_to_torch.build(given, optimize=optimize, share=share) for share in (True, False))
    for one, other in zip(shared.parameters(), own.parameters(), strict=True):
        assert torch.equal(one, other)
    loaded = saved_and_loaded(shared)
    assert torch.equal(loaded(x), own(x))
    with torch.no_grad():
        for tensor in loaded.parameters():
            tensor.zero_()  # what is loaded is nobody else's
    assert torch.equal(shared(x), own(x))
    assert given.SerializeToString() == before


def test_a_long_chain_is_rebuilt_without_recursion():
    count = 1500
    nodes = [("Relu" if i % 2 else "Neg", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(count)]
    proto = model([*nodes, ("Neg", [f"v{count}"], ["y"])], {})
    module = onnx_to_torch.build(proto, optimize=True)
    assert module(torch.ones(1, 4, 6, 5)).shape == (1, 4, 6, 5)

"""PyTorch functions spelled out for torch.onnx: what is traced with them computes what the functions do."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional

from exporters.torch_to_onnx import spelled_out
from exporters.torch_to_onnx.table import TABLE

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # PyTorch's exporter calls what PyTorch deprecated
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]
BATCH = torch.export.Dim("batch", min=1, max=1000)
WINDOW = torch.hann_window(8, dtype=torch.float64)


def _regular(x):
    """Well-conditioned square matrices made of (batch, 4, 4)."""
    return x + 5 * torch.eye(4, dtype=x.dtype)


def _definite(x):
    return x @ x.mT + torch.eye(4, dtype=x.dtype)


def _frames(x):
    """(batch, 4, 4) -> a short-time spectrum of 5 frequencies and 6 frames."""
    flat = x.reshape(-1, 16)
    return torch.stft(torch.cat([flat] * 2, -1), 8, 4, window=WINDOW.to(x.dtype), return_complex=True)


def _own_kernels(function, **settings):
    """Every sample has kernels of its own: those of as many groups as there are samples."""

    def call(x):
        kernels = torch.tanh(x.repeat(1, 1, 2)).reshape(-1, 4, 2)
        if function.__name__.endswith("2d"):
            kernels = kernels[..., None] * torch.arange(1, 4, dtype=x.dtype)
            pixels = (x[..., None] * torch.arange(1, 6, dtype=x.dtype)).reshape(1, -1, 4, 5)
        else:
            pixels = x.reshape(1, -1, 4)
        return function(pixels, kernels, groups=x.shape[0], **settings)

    return call


def _projected(layers, bidirectional, biased=True):
    """An LSTM from 4 features through 6 to 3, from states that are not zeros."""
    directions = 2 if bidirectional else 1

    def call(x):
        def numbers(*shape):
            count = math.prod(shape)
            return torch.sin(torch.arange(count, dtype=x.dtype) * 1.7 + count).reshape(shape) / 2

        weights = []
        for layer in range(layers):
            width = 3 * directions if layer else 4
            for _ in range(directions):
                weights += [numbers(24, width), numbers(24, 3), *[numbers(24)] * 2 * biased, numbers(3, 6)]
        states = [numbers(layers * directions, 1, size).expand(-1, x.shape[0], -1) for size in (3, 6)]
        return torch.lstm(x, states, weights, biased, layers, 0.0, False, bidirectional, True)

    return call


# Name -> a function of (batch, 4, 4) floats, by whose spelling it is exported.
CASES = {
    "remainder": lambda x: x % 0.1,
    "remainder by another": lambda x: torch.remainder(x, x.flip(-1) + 3e4),
    "floor_divide": lambda x: x // 0.1,
    "div rounded down": lambda x: torch.div(x, x.flip(-1) + 3e4, rounding_mode="floor"),
    "fmax": lambda x: torch.fmax(x, x.flip(-1)),
    "fmin": lambda x: torch.fmin(x, x.flip(-1)),
    "atan2": lambda x: torch.atan2(x, x.flip(-1)),
    "signbit": torch.signbit,
    "avg_pool2d by a divisor": lambda x: functional.avg_pool2d(x, 2, 1, 1, divisor_override=3),
    "avg_pool2d by a divisor, rounded up": lambda x: functional.avg_pool2d(
        x, 3, (2, 3), 1, ceil_mode=True, divisor_override=5
    ),
    "avg_pool2d by a divisor, the last window empty": lambda x: functional.avg_pool2d(
        x, 2, 3, 1, ceil_mode=True, divisor_override=5
    ),
    "avg_pool3d by a divisor, rounded up": lambda x: functional.avg_pool3d(
        torch.stack([x, -x, x.mT], 1)[:, None], (3, 2, 2), 2, (1, 0, 1), ceil_mode=True, divisor_override=5
    ),
    "lstm of projected states": _projected(2, True),
    "lstm of projected states without biases": _projected(1, False, biased=False),
    "cumprod": lambda x: x.cumprod(-1),
    "cumprod of the batch": lambda x: x.cumprod(0),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "logcumsumexp of the batch": lambda x: x.logcumsumexp(0),
    "cummax": lambda x: x.round().cummax(-1),
    "cummin of the batch": lambda x: x.round().cummin(0),
    "log_sigmoid": functional.logsigmoid,
    "logaddexp": lambda x: torch.logaddexp(x, x.flip(-1)),
    "logaddexp2": lambda x: torch.logaddexp2(x, x.flip(-1)),
    "log1p": lambda x: x.abs().log1p(),
    "expm1": torch.expm1,
    "hypot": lambda x: torch.hypot(x, x.flip(-1)),
    "copysign": lambda x: torch.copysign(x, x.flip(-1)),
    "copysign of a number": lambda x: torch.copysign(x, -2.0),
    "erfinv": lambda x: torch.erfinv(torch.tanh(x)),
    "conv1d of own kernels": _own_kernels(torch.conv1d, dilation=2),
    "conv2d of own kernels": _own_kernels(torch.conv2d, stride=(2, 1), padding=1),
    "conv_transpose1d of own kernels": _own_kernels(torch.conv_transpose1d, stride=3, output_padding=1),
    "conv_transpose2d of own kernels": _own_kernels(torch.conv_transpose2d, stride=2, padding=1, dilation=(1, 2)),
    "cdist": lambda x: torch.cdist(x, x.flip(1)),
    "cdist p=1": lambda x: torch.cdist(x, x.flip(1), p=1.0),
    "cdist p=3": lambda x: torch.cdist(x, x.flip(1), p=3.0),
    "cdist p=inf": lambda x: torch.cdist(x, x.flip(1), p=torch.inf),
    "median": lambda x: x.median(-1)[0],
    "median of the batch": lambda x: x.median(0, keepdim=True)[0],
    "median of all": torch.median,
    "kthvalue": lambda x: x.kthvalue(3, -1)[0],
    "mode": lambda x: x.round().mode(-1),
    "searchsorted": lambda x: torch.searchsorted(x.sort(-1)[0], x.flip(1)),
    "searchsorted from the right": lambda x: torch.searchsorted(x.sort(-1)[0], x, right=True),
    "histc": lambda x: torch.histc(x, 5, -1, 1),
    "histc of its own range": lambda x: torch.histc(x, 5),
    "adaptive_max_pool2d": lambda x: functional.adaptive_max_pool2d(x, (3, 2), return_indices=True),
    "adaptive_max_pool1d": lambda x: functional.adaptive_max_pool1d(x, 3),
    "inv": lambda x: torch.linalg.inv(_regular(x)),
    "solve": lambda x: torch.linalg.solve(_regular(x), x),
    "solve for vectors": lambda x: torch.linalg.solve(_regular(x), x[..., 0]),
    "cholesky": lambda x: torch.linalg.cholesky(_definite(x)),
    "solve_triangular": lambda x: torch.linalg.solve_triangular(_regular(x).triu(), x, upper=True),
    "solve_triangular from the right": lambda x: torch.linalg.solve_triangular(
        _regular(x).tril(), x, upper=False, left=False
    ),
    "solve_triangular of one side": lambda x: torch.linalg.solve_triangular(
        x.triu(), x[0, :, :2], upper=True, unitriangular=True
    ),
    "solve by name": lambda x: torch.linalg.solve(A=_regular(x), B=x),
    "cumprod of integers": lambda x: x.round().to(torch.int32).cumprod(-1, dtype=torch.int32),
    "istft": lambda x: torch.istft(_frames(x), 8, 4, window=WINDOW.to(x.dtype)),
    "istft of a length": lambda x: torch.istft(_frames(x), 8, 4, window=WINDOW.to(x.dtype), length=30),
    "embedding_bag": lambda x: functional.embedding_bag(_ids(x), _table(x)),
    "embedding_bag by name": lambda x: functional.embedding_bag(input=_ids(x), weight=_table(x)),
    "embedding_bag of maxima": lambda x: functional.embedding_bag(_ids(x), _table(x), mode="max", padding_idx=2),
    "embedding_bag weighted": lambda x: functional.embedding_bag(
        _ids(x), _table(x), mode="sum", per_sample_weights=x[:, 0]
    ),
    "embedding_bag of offsets": lambda x: functional.embedding_bag(
        _ids(x).reshape(-1), _table(x), torch.tensor([0, 2, 2])
    ),
}  # fmt: skip


aten = torch.ops.aten
# What is spelled out of floats, or with some arguments, and stays where the spellings themselves use it otherwise.
STAY = {
    aten.avg_pool2d.default, aten.avg_pool3d.default, aten.div.Tensor_mode, aten.floor_divide.default,
    aten.remainder.Scalar, aten.remainder.Tensor,
}  # fmt: skip


def _ids(x):
    return x[:, 0].abs().round().clamp(max=6).to(torch.int64)


def _table(x):
    return torch.arange(21, dtype=x.dtype).reshape(7, 3)


class Model(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def _inputs(dtype, batch, scale):
    generator = torch.Generator().manual_seed(batch)
    return (scale * torch.randn(batch, 4, 4, generator=generator, dtype=torch.float64)).to(dtype)


def _traced(case, dtype=torch.float64):
    with spelled_out():
        program = torch.export.export(
            Model(CASES[case]), (_inputs(dtype, 2, 1.0),), dynamic_shapes=({0: BATCH},), strict=False
        ).run_decompositions({})
    called = {node.target for node in program.graph.nodes if node.op == "call_function"}
    assert not called & (set(TABLE) - STAY), f"{case} is not spelled out"
    return program.module()


@pytest.mark.parametrize("case", CASES)
def test_a_spelling_computes_what_the_function_does(case):
    traced = _traced(case)
    for batch, scale in ((2, 1.0), (3, 1e3), (5, 1e-6), (3, 0.0)):
        x = _inputs(torch.float64, batch, scale)
        if case.startswith(("expm1", "cumprod")) and scale > 1:
            x = x / 50
        torch.testing.assert_close(traced(x), CASES[case](x), rtol=1e-9, atol=0 if case in EXACT else 1e-12)


EXACT = ("log1p", "expm1", "erfinv", "hypot", "copysign")  # near 0 they keep all their digits


def test_what_is_not_finite_stays_so():
    x = torch.tensor([-torch.inf, torch.inf, torch.nan, 0.0, torch.inf, -0.0, 1.0, -1.0], dtype=torch.float64)
    cases = {
        "log1p": torch.log1p,
        "expm1": torch.expm1,
        "erfinv": torch.erfinv,
        "hypot": lambda x: torch.hypot(x, x.flip(0)),
        "copysign": lambda x: torch.copysign(x, x.flip(0)),
        "logaddexp": lambda x: torch.logaddexp(x, x.flip(0)),
        "median": lambda x: x.median(0)[0],
        "atan2": lambda x: torch.atan2(x, x.roll(3)),
        "remainder": lambda x: torch.remainder(x, x.roll(3)),
        "floor_divide": lambda x: x // x.roll(3),
        "fmax": lambda x: torch.fmax(x, x.roll(3)),
        "signbit": lambda x: torch.signbit(x.nan_to_num(1.0)),
        "cummax": lambda x: x.cummax(0),
        "cummin": lambda x: x.flip(0).cummin(0),
        "searchsorted": lambda x: torch.searchsorted(torch.arange(3.0, dtype=x.dtype), x),
    }
    for name, function in cases.items():
        with spelled_out():
            traced = (
                torch.export.export(Model(function), (torch.ones(8, dtype=torch.float64),))
                .run_decompositions({})
                .module()
            )
        torch.testing.assert_close(traced(x), function(x), equal_nan=True, msg=name)


ONNX = (
    "floor_divide",
    "atan2",
    "avg_pool2d by a divisor",
    "avg_pool2d by a divisor, rounded up",
    "lstm of projected states",
    "cumprod",
    "median of the batch",
    "adaptive_max_pool2d",
    "embedding_bag of maxima",
    "inv",
    "istft",
    "mode",
)


@pytest.mark.parametrize("case", ONNX)
def test_torch_onnx_takes_the_spelling(case, tmp_path):
    path = str(tmp_path / "model.onnx")
    with spelled_out():
        torch.onnx.export(
            Model(CASES[case]).eval(), (_inputs(torch.float32, 2, 1.0),), path, dynamo=True, verbose=False,
            dynamic_shapes=({0: BATCH},),
        )  # fmt: skip
    session = onnxruntime.InferenceSession(path)
    for batch in (1, 5):
        x = _inputs(torch.float32, batch, 1.0)
        expected = CASES[case](x)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for found, wanted in zip(session.run(None, {"x": x.numpy()}), expected, strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)

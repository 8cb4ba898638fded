"""Small PyTorch models of every kind that a rebuilt module must be as good as, and their ONNX files."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import onnx
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.bn2 = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.stem(x)))
        x = torch.relu(x + self.bn2(self.conv(x)))
        return self.head(nnf.adaptive_avg_pool2d(x, 1).flatten(1))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU())
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.out = nn.Conv2d(16, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        shallow = self.down(x)
        deep = self.deep(nnf.max_pool2d(shallow, 2))
        return self.out(torch.cat([self.up(deep), shallow], 1)).mean((2, 3))


class Recurrent(nn.Module):
    def __init__(self, kind: str, *, both: bool = False) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(6, 8, num_layers=2, batch_first=True, bidirectional=both)
        self.head = nn.Linear(16 if both else 8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class Transformer(nn.Module):
    """Attention, GELU and layer normalisation written out, as many do."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 16)
        self.qkv = nn.Linear(16, 48)
        self.project = nn.Linear(16, 16)
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.wide, self.narrow = nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, 4, 4)).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-2, -1) * 0.5, -1)
        x = x + self.project((weights @ v).transpose(1, 2).flatten(2))
        x = x + self.narrow(nnf.gelu(self.wide(self.norm2(x))))
        return self.head(x.mean(1))


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cumsum(self.embed(x), 1).amax(1))


class Resizing(nn.Module):
    """Constants in the graph: a grid, a scale, a mask, sizes, and casts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.register_buffer("scale", torch.linspace(0.5, 2, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = nnf.interpolate(self.conv(x) * self.scale[:, None, None], scale_factor=2.0, mode="bilinear")
        x = torch.where(x > 0.0, x, 0.125 * x) / 3.0 + (x > 1).to(x.dtype) / 1024.0
        return nnf.hardswish(x).mean((2, 3))


@dataclass(frozen=True)
class Kind:
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    tokens: int = 0

    def batch(self, size: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        if self.tokens:
            return torch.randint(0, self.tokens, (size, *self.shape), generator=generator)
        return torch.randn(size, *self.shape, generator=generator)


MODELS = {
    "dense": Kind(lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Linear(8, 5)), (6,)),
    "conv1d": Kind(
        lambda: nn.Sequential(
            nn.Conv1d(4, 8, 3), nn.InstanceNorm1d(8, affine=True), nn.Mish(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
            nn.Linear(8, 5),
        ), (4, 12)),
    "conv3d": Kind(
        lambda: nn.Sequential(
            nn.Conv3d(2, 4, 3), nn.BatchNorm3d(4), nn.LeakyReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(32, 5)
        ), (2, 6, 6, 6)),
    "residual": Kind(Residual, (3, 8, 8)),
    "unet": Kind(UNet, (3, 8, 8)),
    "lstm": Kind(lambda: Recurrent("LSTM", both=True), (7, 6)),
    "gru": Kind(lambda: Recurrent("GRU"), (7, 6)),
    "rnn": Kind(lambda: Recurrent("RNN"), (7, 6)),
    "transformer": Kind(Transformer, (7, 6)),
    "tokens": Kind(Tokens, (6,), tokens=20),
    "resizing": Kind(Resizing, (3, 8, 8)),
    "layernorm": Kind(lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU("tanh"), nn.Linear(8, 5)), (6,)),
}  # fmt: skip


@functools.cache
def source(name: str) -> nn.Module:
    """The model in evaluation mode, its normalisations with statistics and weights that are no zeros and ones."""
    torch.manual_seed(len(name))
    model = MODELS[name].build().eval()
    for module in model.modules():
        for kind, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if "Norm" in type(module).__name__ and tensor.is_floating_point():
                with torch.no_grad():
                    tensor.copy_(torch.rand_like(tensor) + 0.5 * (kind != "bias"))
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters speak of their own future and progress."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
    logging.getLogger("torch.onnx").setLevel(level)


def older_onnx(model: nn.Module, x: Tensor) -> onnx.ModelProto:
    """By the exporter that is based on TorchScript, for any batch size."""
    buffer = io.BytesIO()
    with quiet():
        torch.onnx.export(
            model, (x,), buffer, dynamo=False, opset_version=17, do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE, input_names=["x"], output_names=["y"],
            dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
        )  # fmt: skip
    return onnx.load_from_string(buffer.getvalue())


def newer_onnx(model: nn.Module, x: Tensor) -> onnx.ModelProto:
    """By the exporter that is based on torch.export, for any batch size."""
    with quiet():
        program = torch.onnx.export(
            model, (x,), dynamo=True, optimize=False, verbose=False, opset_version=18, input_names=["x"],
            output_names=["y"], dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
        )  # fmt: skip
    assert program is not None
    return program.model_proto


@functools.cache
def exported(name: str) -> onnx.ModelProto:
    return older_onnx(source(name), MODELS[name].batch(2))

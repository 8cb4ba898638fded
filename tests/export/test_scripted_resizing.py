"""Resizing in saved TorchScript, by every mode, by size and by scale: ONNX of it is right at other sizes too."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from exporters import script_to_onnx

MODES = [("nearest", 1), ("nearest", 2), ("nearest", 3), ("linear", 1), ("bilinear", 2), ("bicubic", 2),
         ("trilinear", 3), ("area", 1), ("area", 2), ("area", 3)]  # fmt: skip
ASKED: list[dict[str, float | int]] = [{"size": 7}, {"scale_factor": 2.0}, {"scale_factor": 0.7}]
FILTERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Computed(nn.Module):
    """Sizes that are computed from those of the input, and scales for each axis."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        height, width = x.shape[2], x.shape[3]
        return (
            nnf.interpolate(x, size=(height * 2, width + 3), mode="bilinear"),
            nnf.interpolate(x, size=[int(height * 1.5), width], mode="nearest"),
            nnf.interpolate(x, scale_factor=[0.5, 2.3], mode="bicubic", align_corners=True),
            nnf.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
        )


class Like(nn.Module):
    """As large as another tensor is, which segmentation models write."""

    def forward(self, x: Tensor) -> Tensor:
        return nnf.interpolate(nnf.max_pool2d(x, 3), size=x.shape[2:], mode="bilinear", align_corners=False)


class Rankless(nn.Module):
    """On a tensor whose rank a saved graph does not tell."""

    def __init__(self) -> None:
        super().__init__()
        self.spread, self.up = nn.Linear(8, 48), nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.spread(x.flatten(1)[:, :8]).view(x.shape[0], 3, 4, 4))


def saved(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def scripted(model: nn.Module, _: Tensor) -> torch.jit.ScriptModule:
    return torch.jit.script(model)


def frozen(model: nn.Module, _: Tensor) -> torch.jit.ScriptModule:
    return torch.jit.freeze(torch.jit.script(model))


def traced(model: nn.Module, x: Tensor) -> torch.jit.ScriptModule:
    return torch.jit.trace(model, x, check_trace=False)


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.simplefilter("ignore")  # PyTorch says that TorchScript, scripting and this exporter have an end
    script_to_onnx.register()


def check(model: nn.Module, axes: int, form: Callable[[nn.Module, Tensor], torch.jit.ScriptModule]) -> None:
    model = model.eval()
    x = torch.randn(2, 3, *[6] * axes)
    buffer = io.BytesIO()
    free = {axis: f"d{axis}" for axis in range(axes + 2) if axis != 1}
    torch.onnx.export(
        saved(form(model, x)), (x,), buffer, dynamo=False, opset_version=18, input_names=["x"],
        dynamic_axes={"x": free}, do_constant_folding=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    for length in (6, 9):
        other = torch.randn(3, 3, *[length] * axes)
        with torch.no_grad():
            wanted = model(other)
        found = session.run(None, {"x": other.numpy()})
        for one, also in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            assert one.shape == tuple(also.shape)
            np.testing.assert_allclose(one, also.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [scripted, frozen, traced], ids=lambda form: form.__name__)
@pytest.mark.parametrize("asked", ASKED, ids=str)
@pytest.mark.parametrize(("mode", "axes"), MODES, ids=str)
def test_every_mode(
    mode: str, axes: int, asked: dict[str, float | int], form: Callable[[nn.Module, Tensor], torch.jit.ScriptModule]
) -> None:
    if form is traced and mode == "area" and "scale_factor" in asked:
        pytest.skip("a trace holds adaptive pooling to the sizes of its example, and no longer a scale")
    check(nn.Sequential(FILTERS[axes - 1](3, 4, 3, padding=1), nn.Upsample(mode=mode, **asked)), axes, form)


@pytest.mark.parametrize("form", [scripted, frozen], ids=lambda form: form.__name__)
@pytest.mark.parametrize("model", [Computed(), Like(), Rankless()], ids=lambda model: type(model).__name__)
def test_computed_sizes(model: nn.Module, form: Callable[[nn.Module, Tensor], torch.jit.ScriptModule]) -> None:
    torch.manual_seed(0)
    check(model, 2, form)

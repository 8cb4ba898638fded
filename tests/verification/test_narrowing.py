"""What a module makes of integers in float32 is computed in float64, where the truth is made."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from tests.limits import HANG
from toolkit.verification.narrowing import Halves, Watch, Widen, rounds_within


class Picture(nn.Module):
    """uint8 pictures as most networks take them: in float32, scaled, and into a layer with weights."""

    def __init__(self, scaled):
        super().__init__()
        self.scaled = scaled
        self.layer = nn.Conv2d(3, 2, 3)

    def forward(self, image):
        return self.layer(self.scaled(image))


IMAGE = torch.randint(0, 256, (2, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
SCALED = (lambda image: image.float() / 255, lambda image: image / 255, lambda image: image.to(torch.float32).sqrt())


def test_integers_become_float64():
    for scaled in SCALED:
        module = Picture(scaled).double()
        with Watch() as watch, Widen():
            found = module(IMAGE)
        expected = module.layer(scaled(IMAGE.double()) if scaled is SCALED[1] else scaled(IMAGE.double()).double())
        assert found.dtype == torch.float64
        assert not watch.narrowed
        if scaled is SCALED[1]:
            torch.testing.assert_close(found, expected, rtol=1e-15, atol=1e-15)


def test_arithmetic_on_integers_in_float32_is_noticed():
    with Watch() as watch:
        _ = IMAGE / 255
    assert watch.narrowed
    with Watch() as watch:
        _ = IMAGE.float()  # every integer of 8 bits is a float32
    assert not watch.narrowed


def test_a_cast_to_fewer_bits_is_seen():
    x = torch.randn(3, 4)
    with Halves() as halves:
        _ = (x @ x.T).softmax(-1) + torch.arange(3)
    assert not halves.seen
    with Halves() as halves, torch.autocast("cpu", torch.bfloat16):
        _ = x @ x.T
    assert halves.seen


def test_rounding_that_no_tensor_shows_is_known():
    assert not rounds_within()
    torch.set_float32_matmul_precision("medium")
    try:
        assert rounds_within()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert not rounds_within()


def test_looking_at_operators_does_not_import_the_compiler():
    code = """
import sys, torch
from toolkit.verification.narrowing import Halves, Watch
with Watch(), Halves():
    torch.zeros(2, 3).float().relu()
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=HANG)


def test_a_compiled_module_is_seen_through():
    module = torch.compile(nn.Sequential(nn.Linear(3, 4), Half()), backend="eager")
    for _ in range(2):
        with torch.inference_mode(), Halves() as halves:
            module(torch.zeros(2, 3))
        assert halves.seen


class Half(nn.Module):
    def forward(self, x):
        return x.to(torch.float16).float()

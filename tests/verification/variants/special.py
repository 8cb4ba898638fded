"""Edits for tests of their own, of models that only one test uses."""

from __future__ import annotations

from typing import Any

from tests.verification.variants.edits import Variant


def _two_ulp(module: Any) -> None:
    from torch import Tensor, nn

    class Factor(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * (1 + 2.0**-21)

    module.factor = Factor()


def _next_class(module: Any) -> None:
    module.inner.weight.copy_(module.inner.weight.roll(1, 0))


def _gelu_tanh_inside(module: Any) -> None:
    module.inner.gelu.approximate = "tanh"


def _one_output(module: Any) -> None:
    from types import MethodType

    whole = type(module).forward

    def forward(self: Any, x: Any) -> dict[str, Any]:
        return {"logits": whole(self, x)["logits"]}

    module.forward = MethodType(forward, module)


SPECIAL = {
    "two_ulp": Variant(_two_ulp),
    "next_class": Variant(_next_class),
    "one_output": Variant(_one_output),
    "gelu_tanh": Variant(_gelu_tanh_inside),
}

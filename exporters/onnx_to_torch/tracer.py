"""Tracing a rebuilt module anew, as pickling it does: its operators are leaves, and it still knows its mode."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from torch import fx, nn

_PACKAGE = "exporters.onnx_to_torch"


class Mode(nn.Module):
    """Says whether the module that it is part of is being trained."""

    def forward(self) -> bool:
        return self.training


class Tracer(fx.Tracer):
    """Stops at this package's functions: they look at sizes and at types, as fx itself cannot."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=_functions())

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Mode) or super().is_leaf_module(m, module_qualified_name)


def _functions() -> tuple[Callable[..., Any], ...]:
    modules = [module for name, module in sys.modules.items() if name.startswith(_PACKAGE)]
    found = {
        id(function): function
        for module in modules
        for function in vars(module).values()
        if inspect.isfunction(function) and function.__module__.startswith(_PACKAGE)
    }
    return tuple(found.values())

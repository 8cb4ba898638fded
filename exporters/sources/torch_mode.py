"""Watch or change every operator that PyTorch runs, without the 1.4 CPU seconds that PyTorch's own base class costs.

`TorchDispatchMode` keeps torch.compile away from what a mode does, and imports all of the compiler for it: 800 modules,
half as much again as PyTorch itself. Where nobody has imported the compiler there is nothing to keep away.
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Mode(TorchDispatchMode):
    """While it is entered, `operator` is called in the place of every operator, outermost mode first."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()  # type: ignore[no-untyped-call]  # PyTorch left it without types

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch left it without types

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # done here, and only where the compiler is there

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        called = self._uncompiled if "torch._dynamo" in sys.modules else self.operator
        return called(function, args, kwargs or {})

    @cached_property
    def _uncompiled(self) -> Any:
        return torch.compiler.disable(self.operator)  # type: ignore[no-untyped-call]  # as above

    def operator(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What happens instead of `function(*args, **kwargs)`; within it no mode is active."""
        raise NotImplementedError

"""Watch a PyTorch module that should compute in float64 for parts that go back to fewer bits."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_NARROW = (torch.float32, torch.float16, torch.bfloat16)


class Watch(TorchDispatchMode):
    """While it is entered, `narrowed` becomes true with the first operator that makes fewer bits of float64."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch left it without types
        self.narrowed = False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = function(*args, **(kwargs or {}))
        given = any(isinstance(each, torch.Tensor) and each.dtype == torch.float64 for each in args)
        if given and isinstance(result, torch.Tensor) and result.dtype in _NARROW and result.numel() > 1:
            self.narrowed = True
        return result

"""While a module is traced, calls of the table's functions are spelled out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.overrides import TorchFunctionMode

from exporters.torch_to_onnx import (
    arithmetic,
    convolution,
    cumulative,
    logarithms,
    lookup,
    magnitude,
    matrices,
    order,
    pooling,
    recurrent,
    spectral,
)
from exporters.torch_to_onnx.table import TABLE, Spelling

# Every family enters its spellings when it is imported.
_FAMILIES = (
    arithmetic,
    convolution,
    cumulative,
    logarithms,
    lookup,
    magnitude,
    matrices,
    order,
    pooling,
    recurrent,
    spectral,
)


# PyTorch's names of a function's first tensors, by which a call may give them; a spelling has its own.
_TENSORS = ("input", "A", "B")


class _SpelledOut(TorchFunctionMode):
    def __init__(self, table: Mapping[Any, Spelling]) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = kwargs or {}
        spelling = self.table.get(function) if function.__hash__ is not None else None
        if spelling is not None and "out" not in kwargs:
            tensors = [kwargs[name] for name in _TENSORS if name in kwargs]
            found = spelling(*args, *tensors, **{name: kwargs[name] for name in kwargs if name not in _TENSORS})
            if found is not NotImplemented:
                return found
        return function(*args, **kwargs)


def spelled_out(*functions: Any) -> TorchFunctionMode:
    """A context manager; what is traced within it holds the spellings in place of the functions: of all, or of some."""
    return _SpelledOut({function: TABLE[function] for function in functions} if functions else TABLE)

"""While a module is traced, calls of the table's functions are spelled out."""

from __future__ import annotations

from typing import Any

from torch.overrides import TorchFunctionMode

from exporters.torch_to_onnx import cumulative, logarithms, lookup, magnitude, matrices, order, pooling, spectral
from exporters.torch_to_onnx.table import TABLE

# Every family enters its spellings when it is imported.
_FAMILIES = (cumulative, logarithms, lookup, magnitude, matrices, order, pooling, spectral)


class _SpelledOut(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        spelling = TABLE.get(function) if function.__hash__ is not None else None
        if spelling is not None:
            found = spelling(*args, **(kwargs or {}))
            if found is not NotImplemented:
                return found
        return function(*args, **(kwargs or {}))


def spelled_out() -> TorchFunctionMode:
    """A context manager; what is traced within it holds the spellings in place of the functions."""
    return _SpelledOut()

"""PyTorch modules that should compute in float64 and insist on float32 somewhere: noticed, and kept from it."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from exporters.sources.torch_mode import Mode

_NARROW = (torch.float32, torch.float16, torch.bfloat16)
_CASTS = frozenset({"_to_copy", "to", "type_as"})


class Watch(Mode):
    """While it is entered, `narrowed` becomes true with the first operator that makes fewer bits of float64."""

    def __init__(self) -> None:
        super().__init__()
        self.narrowed = False

    def operator(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = function(*args, **kwargs)
        if isinstance(result, torch.Tensor) and result.dtype in _NARROW and result.numel() > 1:
            tensors = [each for each in args if isinstance(each, torch.Tensor)]
            given = any(each.dtype == torch.float64 for each in tensors)
            self.narrowed = self.narrowed or given or _is_arithmetic_on_integers(function, tensors)
        return result


class Halves(Mode):
    """While it is entered, `seen` becomes true with the first result of fewer bits than float32's."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def operator(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = function(*args, **kwargs)
        results = result if isinstance(result, tuple | list) else (result,)
        for tensor in results:
            if isinstance(tensor, torch.Tensor) and (tensor.is_quantized or _is_narrow(tensor.dtype)):
                self.seen = True
        return result


def _is_narrow(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point and dtype.itemsize < torch.float32.itemsize


def rounds_within() -> bool:
    """Whether PyTorch is told that an operator on the CPU may round float32 to fewer bits, which no tensor shows."""
    onednn: Any = torch.backends.mkldnn
    places: tuple[Any, ...] = (torch.backends, onednn, onednn.matmul, onednn.conv, onednn.rnn)
    return any(place.fp32_precision not in ("none", "ieee") for place in places)


class Widen(Mode):
    """While it is entered, what asks for float32 gets float64: a softmax or a normalisation "in float32", `x.float()`.

    So does arithmetic on integers (`picture / 255`). Numbers that come into being in float32 (from constants, or
    integers as they are) are rounded to it as they would be without this, and widened then. float16 and bfloat16 stay
    what they are: whoever casts to them means to lose bits.
    """

    def operator(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        tensors = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)]
        asks = any(each is torch.float32 for each in (*args, *kwargs.values()))
        if asks and any(tensor.dtype == torch.float64 for tensor in tensors):
            if function.overloadpacket is torch.ops.aten.view:  # the same bits by another name, no conversion
                return function(*args, **kwargs)
            return function(*map(_wide, args), **{name: _wide(each) for name, each in kwargs.items()})
        if _is_arithmetic_on_integers(function, tensors):
            with _disable_current_modes():  # what comes of it may not be kept
                result = function(*args, **kwargs)
            if not (isinstance(result, torch.Tensor) and result.dtype in _NARROW):
                return result
            return function(*map(_real, args), **{name: _wide(each) for name, each in kwargs.items()})
        result = function(*args, **kwargs)
        is_new = asks or not tensors
        if is_new and isinstance(result, torch.Tensor) and result.dtype == torch.float32:
            return result.to(torch.float64)
        return result


def _wide(argument: Any) -> Any:
    return torch.float64 if argument is torch.float32 else argument


def _is_arithmetic_on_integers(function: Any, tensors: list[torch.Tensor]) -> bool:
    """Whether an operator is given integers alone, and does not take them as they are: of its floats we are wary."""
    if not tensors or function.overloadpacket.__name__ in _CASTS:
        return False
    return not any(tensor.dtype.is_floating_point or tensor.dtype.is_complex for tensor in tensors)


def _real(argument: Any) -> Any:
    return argument.to(torch.float64) if isinstance(argument, torch.Tensor) else _wide(argument)

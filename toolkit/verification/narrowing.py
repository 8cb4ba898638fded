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
    """While it is entered, `seen` gathers the dtypes of results in fewer bits than float32's."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()

    def operator(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = function(*args, **kwargs)
        results = result if isinstance(result, tuple | list) else (result,)
        for tensor in results:
            if isinstance(tensor, torch.Tensor) and (tensor.is_quantized or _is_narrow(tensor.dtype)):
                self.seen.add(tensor.dtype)
        return result

    @property
    def precision(self) -> str:
        """In which of the precisions that the verdict knows everything was computed; "fp32" where in none of them."""
        for dtype, name in ((torch.bfloat16, "bf16"), (torch.float16, "fp16")):  # the coarser one decides
            if dtype in self.seen and self.seen <= {torch.bfloat16, torch.float16}:
                return name
        return "fp32"


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
    what they are, since whoever casts to them means to lose bits; but for a model of few bits, `halves`, whose truth
    has none of its rounding.
    """

    def __init__(self, *, halves: bool = False) -> None:
        super().__init__()
        self._widened = _NARROW if halves else (torch.float32,)

    def operator(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        tensors = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)]
        asks = any(each in self._widened for each in (*args, *kwargs.values()) if isinstance(each, torch.dtype))
        if asks and any(tensor.dtype == torch.float64 for tensor in tensors):
            if function.overloadpacket is torch.ops.aten.view:  # the same bits by another name, no conversion
                return function(*args, **kwargs)
            return function(*map(self._wide, args), **{name: self._wide(each) for name, each in kwargs.items()})
        if _is_arithmetic_on_integers(function, tensors):
            with _disable_current_modes():  # what comes of it may not be kept
                result = function(*args, **kwargs)
            if not (isinstance(result, torch.Tensor) and result.dtype in _NARROW):
                return result
            return function(*map(self._real, args), **{name: self._wide(each) for name, each in kwargs.items()})
        result = function(*args, **kwargs)
        is_new = asks or not tensors
        if is_new and isinstance(result, torch.Tensor) and result.dtype in self._widened:
            return result.to(torch.float64)
        return result

    def _wide(self, argument: Any) -> Any:
        return torch.float64 if isinstance(argument, torch.dtype) and argument in self._widened else argument

    def _real(self, argument: Any) -> Any:
        return argument.to(torch.float64) if isinstance(argument, torch.Tensor) else self._wide(argument)


def _is_arithmetic_on_integers(function: Any, tensors: list[torch.Tensor]) -> bool:
    """Whether an operator is given integers alone, and does not take them as they are: of its floats we are wary."""
    if not tensors or function.overloadpacket.__name__ in _CASTS:
        return False
    return not any(tensor.dtype.is_floating_point or tensor.dtype.is_complex for tensor in tensors)

"""A large PyTorch model in float64 without a float64 copy of it: weights are widened for one operator at a time.

The modules keep their float32 weights, which may be pages of a file. While `Streamed` is entered, an operator that
reads one is given it in float64, in memory that the next operator uses again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from exporters.sources.torch_mode import Mode

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
LARGE = 1_000_000_000  # bytes of weights; below that, a copy in float64 is cheaper than widening at every call


def size_of(module: torch.nn.Module) -> int:
    """Bytes of a module's float weights, those that are shared counted once."""
    return sum(tensor.untyped_storage().nbytes() for tensor in {_place(t): t for t in _weights(module)}.values())


def _weights(module: torch.nn.Module) -> Iterable[torch.Tensor]:
    return (tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.dtype in _FLOATS)


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Streamed(Mode):
    """While it is entered, the float32 weights of `module` are float64 to whatever computes with them.

    What only looks at a weight another way (a transposition, a slice) stays float32, and is widened where it is used.
    Raises TypeError where an operator would change a weight.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self._places = {_place(tensor) for tensor in _weights(module)}
        self._spare: list[torch.Tensor] = []  # memory that the system need not clear anew for every weight
        self._lent: list[torch.Tensor] = []

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]  # PyTorch left it without types
        self._spare.clear()

    def operator(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _is_view(function):
            return function(*args, **kwargs)
        changed = function._schema.is_mutable  # noqa: SLF001 - PyTorch has no other way to ask
        args = tuple(self._wide(each, refuse=changed and not index) for index, each in enumerate(args))
        result = function(*args, **{name: self._wide(each) for name, each in kwargs.items()})
        self._take_back(result)
        return result

    def _wide(self, argument: Any, *, refuse: bool = False) -> Any:
        if isinstance(argument, list | tuple):
            return type(argument)(self._wide(each, refuse=refuse) for each in argument)
        if not isinstance(argument, torch.Tensor) or argument.dtype not in _FLOATS or argument.is_sparse:
            return argument
        if _place(argument) not in self._places:
            return argument
        if refuse:
            raise TypeError("an operator changes a weight of the model")
        return self._lend(argument)

    def _lend(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor in float64 for one operator, in memory that the next one may have."""
        if torch.empty_like(tensor, device="meta").stride() != tensor.stride():  # it has gaps, or says a number twice
            return tensor.to(torch.float64)
        fitting = [buffer for buffer in self._spare if buffer.numel() >= tensor.numel()]
        buffer = min(fitting, key=torch.Tensor.numel, default=None)
        if buffer is None:
            buffer = torch.empty(tensor.numel(), dtype=torch.float64)
        else:
            self._spare = [each for each in self._spare if each is not buffer]
        self._lent.append(buffer)
        return buffer.as_strided(tensor.shape, tensor.stride()).copy_(tensor)

    def _take_back(self, result: Any) -> None:
        """Memory that was lent is free again, unless an operator returned what it was given (a dropout, at rest)."""
        results = result if isinstance(result, list | tuple) else (result,)
        held = {_place(each) for each in results if isinstance(each, torch.Tensor)} if self._lent else set()
        self._spare += [buffer for buffer in self._lent if _place(buffer) not in held]
        self._lent.clear()


def _is_view(function: Any) -> bool:
    """Whether what an operator returns is its argument's own memory, unchanged."""
    schema = function._schema  # noqa: SLF001 - PyTorch has no other way to ask
    return not schema.is_mutable and any(returned.alias_info is not None for returned in schema.returns)

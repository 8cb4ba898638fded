"""Values of every kind as lists of tensors, so that all branches and bodies of control flow have one signature.

A tensor is a list of one; an optional tensor that is missing is an empty list; an optional sequence that is there
begins with a tensor that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import torch
from torch import Tensor

from exporters.graph.kinds import OPTIONAL, OPTIONAL_SEQUENCE, SEQUENCE, TENSOR

# How a placeholder of each kind is annotated; an unannotated one is a tensor for TorchScript.
ANNOTATIONS: dict[str, Any] = {
    TENSOR: None,
    SEQUENCE: list[Tensor],
    OPTIONAL: Optional[Tensor],  # noqa: UP045 - fx writes this form into the module's code
    OPTIONAL_SEQUENCE: Optional[list[Tensor]],  # noqa: UP045 - see above
}


def packed_tensor(x: Tensor) -> list[Tensor]:
    return [x]


def packed_sequence(x: list[Tensor]) -> list[Tensor]:
    return x


def packed_optional(x: Tensor | None) -> list[Tensor]:
    empty: list[Tensor] = []
    return empty if x is None else [x]


def packed_optional_sequence(x: list[Tensor] | None) -> list[Tensor]:
    empty: list[Tensor] = []
    return empty if x is None else [torch.ones([])] + x  # noqa: RUF005 - TorchScript


def unpacked_tensor(x: list[Tensor]) -> Tensor:
    return x[0]


def unpacked_sequence(x: list[Tensor]) -> list[Tensor]:
    return x


def unpacked_optional(x: list[Tensor]) -> Tensor | None:
    return x[0] if len(x) > 0 else None


def unpacked_optional_sequence(x: list[Tensor]) -> list[Tensor] | None:
    return x[1:] if len(x) > 0 else None


def unpacked_present_sequence(x: list[Tensor]) -> list[Tensor]:
    """The sequence in a packed optional one."""
    assert len(x) > 0, "a sequence that is missing"
    return x[1:]


PACKED: dict[str, Callable[[Any], list[Tensor]]] = {
    TENSOR: packed_tensor,
    SEQUENCE: packed_sequence,
    OPTIONAL: packed_optional,
    OPTIONAL_SEQUENCE: packed_optional_sequence,
}
UNPACKED: dict[str, Callable[[list[Tensor]], Any]] = {
    TENSOR: unpacked_tensor,
    SEQUENCE: unpacked_sequence,
    OPTIONAL: unpacked_optional,
    OPTIONAL_SEQUENCE: unpacked_optional_sequence,
}


def unpacked_as(packed: str, wanted: str) -> Callable[[list[Tensor]], Any]:
    """What takes a value of kind `wanted` out of one packed as `packed`."""
    if (packed, wanted) == (OPTIONAL_SEQUENCE, SEQUENCE):
        return unpacked_present_sequence
    return UNPACKED[wanted if (packed, wanted) == (OPTIONAL, TENSOR) else packed]

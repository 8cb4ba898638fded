"""Sequences of tensors, which TorchScript knows as lists, and optional values."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.graph.kinds import OPTIONAL, OPTIONAL_SEQUENCE, SEQUENCE, TENSOR
from exporters.onnx_to_torch.table import TORCH


@TORCH.op("SequenceConstruct", since=11)
def sequence_construct(inputs: list[Tensor]) -> list[Tensor]:
    return inputs


@TORCH.op("SequenceEmpty", since=11)
def sequence_empty(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    empty: list[Tensor] = []
    return empty


@TORCH.op("SequenceAt", since=11)
def sequence_at(input_sequence: list[Tensor], position: int) -> Tensor:
    return input_sequence[position]


@TORCH.op("SequenceLength", since=11)
def sequence_length(input_sequence: list[Tensor]) -> Tensor:
    return torch.tensor(len(input_sequence), dtype=torch.int64)


@TORCH.op("SequenceInsert", since=11)
def sequence_insert(input_sequence: list[Tensor], tensor: Tensor, position: int | None = None) -> list[Tensor]:
    place = len(input_sequence) if position is None else position
    if place < 0:
        place += len(input_sequence)
    return input_sequence[:place] + [tensor] + input_sequence[place:]  # noqa: RUF005 - TorchScript


@TORCH.op("SequenceErase", since=11)
def sequence_erase(input_sequence: list[Tensor], position: int | None = None) -> list[Tensor]:
    place = -1 if position is None else position
    if place < 0:
        place += len(input_sequence)
    return input_sequence[:place] + input_sequence[place + 1 :]


@TORCH.op("SplitToSequence", since=11)
def split_to_sequence(input: Tensor, split: Tensor | None = None, axis: int = 0, keepdims: int = 1) -> list[Tensor]:
    """ONNX SplitToSequence: `split` is one size for all parts, or the size of each."""
    if split is None:
        parts = list(torch.split(input, 1, axis))
        return parts if keepdims == 1 else [part.squeeze(axis) for part in parts]
    if split.dim() == 0:
        return list(torch.split(input, int(split.item()), axis))
    sizes: list[int] = split.to(torch.int64).tolist()
    return list(torch.split(input, sizes, axis))


@TORCH.op("ConcatFromSequence", since=11)
def concat_from_sequence(input_sequence: list[Tensor], axis: int, new_axis: int = 0) -> Tensor:
    return torch.stack(input_sequence, axis) if new_axis == 1 else torch.cat(input_sequence, axis)


@TORCH.op("Identity", since=1, of=SEQUENCE)
def identity_of_sequence(input: list[Tensor]) -> list[Tensor]:
    return input


@TORCH.op("Identity", since=1, of=OPTIONAL)
def identity_of_optional(input: Tensor | None) -> Tensor | None:
    return input


@TORCH.op("Identity", since=1, of=OPTIONAL_SEQUENCE)
def identity_of_optional_sequence(input: list[Tensor] | None) -> list[Tensor] | None:
    return input


@TORCH.op("Optional", since=15, of=TENSOR)
@TORCH.op("Optional", since=15, of=OPTIONAL)
def optional(input: Tensor | None = None, type: int | None = None) -> Tensor | None:
    """ONNX Optional: `type`, which only tells what is missing, is not handed over."""
    return input


@TORCH.op("Optional", since=15, of=SEQUENCE)
@TORCH.op("Optional", since=15, of=OPTIONAL_SEQUENCE)
def optional_of_sequence(input: list[Tensor] | None = None, type: int | None = None) -> list[Tensor] | None:
    return input


@TORCH.op("OptionalHasElement", since=15, of=TENSOR)
@TORCH.op("OptionalHasElement", since=15, of=OPTIONAL)
def optional_has_element(input: Tensor | None = None) -> Tensor:
    return torch.tensor(input is not None)


@TORCH.op("OptionalHasElement", since=15, of=SEQUENCE)
@TORCH.op("OptionalHasElement", since=15, of=OPTIONAL_SEQUENCE)
def optional_sequence_has_element(input: list[Tensor] | None = None) -> Tensor:
    return torch.tensor(input is not None)


@TORCH.op("OptionalGetElement", since=15, of=TENSOR)
@TORCH.op("OptionalGetElement", since=15, of=OPTIONAL)
def optional_get_element(input: Tensor | None) -> Tensor:
    assert input is not None, "OptionalGetElement of a value that is missing"
    return input


@TORCH.op("OptionalGetElement", since=15, of=SEQUENCE)
@TORCH.op("OptionalGetElement", since=15, of=OPTIONAL_SEQUENCE)
def optional_get_sequence(input: list[Tensor] | None) -> list[Tensor]:
    assert input is not None, "OptionalGetElement of a value that is missing"
    return input

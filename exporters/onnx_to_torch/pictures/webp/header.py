"""The header of a VP8 key frame (RFC 6386, section 9)."""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.bits import little_endian
from exporters.onnx_to_torch.pictures.webp import tables
from exporters.onnx_to_torch.pictures.webp.booleans import bit, given_or, number


def read_segments(data: list[int], coder: list[int]) -> list[list[int]]:
    """What may differ between parts of a picture; empty where nothing does.

    Four steps of quantisation, four strengths of the filter, the probabilities of a macroblock's segment (empty where
    all are in the first) and whether the numbers are themselves the steps and strengths rather than differences.
    """
    nothing: list[int] = []
    if number(data, coder, 1) == 0:
        return [nothing, nothing, nothing, nothing]
    mapped, given = number(data, coder, 1), number(data, coder, 1)
    steps, strengths, likely = [0] * 4, [0] * 4, nothing
    absolute = 0
    if given == 1:
        absolute = number(data, coder, 1)
        steps = [given_or(data, coder, 7, True, 0) for _ in range(4)]
        strengths = [given_or(data, coder, 6, True, 0) for _ in range(4)]
    if mapped == 1:
        likely = [given_or(data, coder, 8, False, 255) for _ in range(3)]
    return [steps, strengths, likely, [absolute]]


def read_filter(data: list[int], coder: list[int]) -> list[int]:
    """How edges are smoothed: 1 if simply, strength, sharpness, more strength in every and in a divided macroblock."""
    simple, strength, sharpness = number(data, coder, 1), number(data, coder, 6), number(data, coder, 3)
    every, divided = 0, 0
    if number(data, coder, 1) == 1 and number(data, coder, 1) == 1:
        changes = [given_or(data, coder, 6, True, 0) for _ in range(8)]
        every, divided = changes[0], changes[4]
    return [simple, strength, sharpness, every, divided]


def read_parts(data: list[int], coder: list[int], start: int, end: int) -> list[list[int]]:
    """Where the parts with the coefficients start and end."""
    count = 1 << number(data, coder, 2)
    first = start + 3 * (count - 1)
    parts: list[list[int]] = []
    for i in range(count):
        last = i == count - 1
        size = end - first if last else little_endian(data, start + 3 * i, 3)
        parts.append([first, first + size])
        first += size
    return parts


def _step(table: list[int], index: int) -> int:
    return table[min(max(index, 0), 127)]


def read_quantities(data: list[int], coder: list[int], segments: list[list[int]]) -> list[list[int]]:
    """Per segment what coefficients are multiplied by: the first and the others of luma, of its means, of chroma."""
    base = number(data, coder, 7)
    changes = [given_or(data, coder, 4, True, 0) for _ in range(5)]
    means, others = tables.steps_of_means(), tables.steps_of_others()
    found: list[list[int]] = []
    for i in range(4):
        index = base
        if len(segments[0]) > 0:
            index = segments[0][i] if segments[3][0] == 1 else base + segments[0][i]
        found.append(
            [
                _step(means, index + changes[0]),
                _step(others, index),
                2 * _step(means, index + changes[1]),
                max(_step(others, index + changes[2]) * 155 // 100, 8),
                min(_step(means, index + changes[3]), 132),
                _step(others, index + changes[4]),
            ]
        )
    return found


def read_probabilities(data: list[int], coder: list[int]) -> list[int]:
    """The probabilities of the coefficients' tokens: the usual ones, but for those that the frame replaces."""
    found, kept = tables.tokens(), tables.kept()
    for i in range(len(found)):
        if bit(data, coder, kept[i]) == 1:
            found[i] = number(data, coder, 8)
    return found

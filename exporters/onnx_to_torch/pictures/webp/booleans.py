"""VP8's arithmetic code: yes or no at a probability, and trees and numbers of such answers (RFC 6386, section 7).

A `coder` is a list of numbers: the bits read and not yet used up, the width of the interval that they lie in, how many
of the bits are beyond the eight that are compared, the byte to be read next, and where the bytes end.
"""

from __future__ import annotations


def started(data: list[int], start: int, end: int) -> list[int]:
    """A coder at the beginning of the bytes from `start` to before `end`."""
    assert start < end <= len(data), "ImageDecoder: a WebP that ends too early"
    return [0, 255, -8, start, end]


def bit(data: list[int], coder: list[int], probability: int) -> int:
    """The next answer, 0 with `probability` in 256ths."""
    value, width, spare = coder[0], coder[1], coder[2]
    if spare < 0:
        at = coder[3]
        assert at < coder[4] + 2, "ImageDecoder: a WebP that ends too early"  # an encoder may save the last zeros
        value = (value << 8) | (data[at] if at < coder[4] else 0)
        coder[3] = at + 1
        spare += 8
    lower = 1 + (((width - 1) * probability) >> 8)
    answer = 0
    if value >= (lower << spare):
        value -= lower << spare
        width -= lower
        answer = 1
    else:
        width = lower
    while width < 128:
        width <<= 1
        spare -= 1
    coder[0] = value
    coder[1] = width
    coder[2] = spare
    return answer


def leaf(data: list[int], coder: list[int], tree: list[int], probabilities: list[int], first: int, node: int) -> int:
    """The leaf that the next answers lead to from `node`.

    A node is a pair in `tree`: where a 0 and where a 1 lead to, a leaf where that is not above 0. Each node's
    probability stands in `probabilities`, from `first` on.
    """
    node = tree[node + bit(data, coder, probabilities[first + (node >> 1)])]
    while node > 0:
        node = tree[node + bit(data, coder, probabilities[first + (node >> 1)])]
    return -node


def number(data: list[int], coder: list[int], bits: int) -> int:
    """A number of so many bits, each as likely 0 as 1."""
    value = 0
    for _ in range(bits):
        value = (value << 1) | bit(data, coder, 128)
    return value


def given_or(data: list[int], coder: list[int], bits: int, signed: bool, otherwise: int) -> int:
    """A number of so many bits and, if `signed`, its sign; `otherwise` where the file gives none."""
    if number(data, coder, 1) == 0:
        return otherwise
    value = number(data, coder, bits)
    return -value if signed and number(data, coder, 1) == 1 else value

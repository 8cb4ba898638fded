"""Which axes a Reshape splits and merges, and in which order of axes it can be done without moving an element.

A Reshape from (batch, 6, height, width) to (batch, 2, 3, height, width) splits one axis and leaves the others alone: on
a tensor held channels last it is the same Reshape of the last axis. Merging axes asks for them side by side, in ONNX's
sequence. Axes are told apart by where they stand, sizes only say where a group of them ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporters.graph.layout import Order, source
from exporters.graph.sizes.extent import REST, Extent

Group = tuple[tuple[int, ...], tuple[int, ...]]  # axes of the source, and those that they become


@dataclass(frozen=True)
class Regrouping:
    """`before` is the order to bring the tensor into; reshaped in it, the result is held in the order `after`."""

    before: Order
    after: Order


def groups(given: Sequence[Extent], wanted: Sequence[Extent]) -> list[Group] | None:
    """The smallest groups of neighbouring axes that become each other; None where sizes do not tell."""
    if any(size.number == 0 for size in (*given, *wanted)) or list(wanted).count(REST) > 1:
        return None
    if REST not in wanted:
        return _matched(given, wanted, 0, 0)
    place = list(wanted).index(REST)
    behind = len(wanted) - place - 1
    front = _prefix(given, wanted[:place])
    back = _prefix(given[::-1], wanted[place + 1 :][::-1])
    if front is None or back is None or front + back >= len(given):
        return None
    end = len(given) - back
    parts = [
        _matched(given[:front], wanted[:place], 0, 0),
        [(tuple(range(front, end)), (place,))],
        _matched(given[end:], wanted[place + 1 :], end, len(wanted) - behind),
    ]
    return None if None in parts else [group for part in parts if part is not None for group in part]


def _prefix(given: Sequence[Extent], wanted: Sequence[Extent]) -> int | None:
    """How many of the first sizes have the product of all `wanted`."""
    whole = Extent()
    for size in wanted:
        whole *= size
    product = Extent()
    for count, size in enumerate(given):
        if product == whole:
            return count
        product *= size
    return len(given) if product == whole else None


def _matched(given: Sequence[Extent], wanted: Sequence[Extent], first: int, second: int) -> list[Group] | None:
    """Groups of two shapes of one product, whose axes are numbered from `first` and `second` on."""
    found: list[Group] = []
    i = j = 0
    while i < len(given) and j < len(wanted):
        start, there = i, j
        a, b = given[i], wanted[j]
        i, j = i + 1, j + 1
        while a != b:
            short = (a.number, len(a.symbols)) < (b.number, len(b.symbols))
            if i < len(given) and (short or j == len(wanted)):
                a, i = a * given[i], i + 1
            elif j < len(wanted):
                b, j = b * wanted[j], j + 1
            else:
                return None
        found.append((tuple(range(first + start, first + i)), tuple(range(second + there, second + j))))
    rest = (*given[i:], *wanted[j:])
    if not found or not all(size.is_one for size in rest):
        return found if not rest else None
    ins, outs = found.pop()
    return [*found, ((*ins, *range(first + i, first + len(given))), (*outs, *range(second + j, second + len(wanted))))]


def regroup(
    order: Order, given: Sequence[Extent], wanted: Sequence[Extent], wish: Order | None = None
) -> Regrouping | None:
    """How to reshape a tensor held in `order` from `given` to `wanted`, both in ONNX's order; None where groups fail.

    With no transpose where the axes of each group lie side by side as they are; else with one, to the order `wish` of
    the result if that can be had, or else to ONNX's.
    """
    found = groups(given, wanted)
    if found is None:
        return None
    candidates = list(_arrangements(order, given, found))
    if not candidates:
        return None
    for candidate in candidates:
        if candidate.before == order:
            return candidate
    plain = Regrouping(source(len(given)), source(len(wanted)))
    return next((candidate for candidate in candidates if candidate.after == wish), plain)


def _arrangements(order: Order, given: Sequence[Extent], found: Sequence[Group]) -> Iterator[Regrouping]:
    """Orders near `order` in which each group's axes lie side by side: groups by their first axis, or their last."""
    wide = [axis for axis in order.axes if not given[axis].is_one]
    places = {axis: place for place, axis in enumerate(wide)}
    for end in (min, max):
        anchors: list[float] = []
        for ins, _ in found:
            held = [places[axis] for axis in ins if axis in places]
            before = anchors[-1] if anchors else -1.0
            anchors.append(float(end(held)) if held else before + 1e-3)  # nothing but ones: where ONNX has them
        sequence = [found[index] for index in sorted(range(len(found)), key=anchors.__getitem__)]
        after = Order(tuple(axis for _, outs in sequence for axis in outs))
        arranged = [axis for ins, _ in sequence for axis in ins]
        unmoved = [axis for axis in arranged if axis in places] == wide
        yield Regrouping(order if unmoved else Order(tuple(arranged)), after)

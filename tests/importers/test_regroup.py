"""Which axes a Reshape splits and merges, and in which order it can be done without a transpose."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from exporters.graph import layout
from exporters.graph.layout import Order
from exporters.graph.regroup import groups, regroup
from exporters.graph.sizes.extent import REST, Extent

N = Extent(1, ("batch",))


def _sizes(*sizes: int | Extent) -> list[Extent]:
    return [size if isinstance(size, Extent) else REST if size == -1 else Extent(size) for size in sizes]


@pytest.mark.parametrize(
    ("given", "wanted", "found"),
    [
        (_sizes(N, 6, 5), _sizes(N, 2, 3, 5), [((0,), (0,)), ((1,), (1, 2)), ((2,), (3,))]),
        (_sizes(N, 4, 4), _sizes(N, 16), [((0,), (0,)), ((1, 2), (1,))]),
        (_sizes(N, 4, 1, 1), _sizes(N, 4), [((0,), (0,)), ((1, 2, 3), (1,))]),
        (_sizes(N, 4, 6), _sizes(-1, 24), [((0,), (0,)), ((1, 2), (1,))]),
        (_sizes(N, 4, 6), _sizes(N, 4, -1), [((0,), (0,)), ((1,), (1,)), ((2,), (2,))]),
        (_sizes(6, 4), _sizes(8, 3), [((0, 1), (0, 1))]),
        (_sizes(N, Extent(1, ("time",))), _sizes(Extent(1, ("time",)), N), [((0, 1), (0, 1))]),
        (_sizes(N, 4), _sizes(Extent(1, ("other",)), 4), None),
        (_sizes(N, 0), _sizes(0, N), None),
    ],
)
def test_the_smallest_groups(given: list[Extent], wanted: list[Extent], found: object) -> None:
    assert groups(given, wanted) == found


def test_channels_are_split_while_they_stay_last() -> None:
    plan = regroup(layout.channels_last(4), _sizes(N, 6, 5, 5), _sizes(N, 2, 3, 5, 5))
    assert plan is not None
    assert plan.before == layout.channels_last(4)
    assert plan.after == Order((0, 3, 4, 1, 2))


def test_a_channel_shuffle_costs_one_transpose_and_stays_channels_last() -> None:
    shuffled = Order((0, 3, 4, 1, 2)).transposed((0, 2, 1, 3, 4))
    plan = regroup(shuffled, _sizes(N, 3, 2, 5, 5), _sizes(N, 6, 5, 5), wish=layout.channels_last(4))
    assert plan is not None
    assert plan.before != shuffled
    assert plan.after == layout.channels_last(4)


def test_a_pooled_image_is_flattened_where_it_lies() -> None:
    plan = regroup(layout.channels_last(4), _sizes(N, 8, 1, 1), _sizes(N, -1))
    assert plan is not None
    assert plan.before == layout.channels_last(4)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize(
    "wanted", [(2, 12, 2, 2), (2, 3, 8, 2), (6, 4, 4), (2, 3, 2, 2, 4), (96,), (2, 3, 1, 16), (3, 2, 16)]
)
def test_the_elements_are_those_of_the_plain_reshape(order: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    given = (2, 3, 4, 4)
    x = np.arange(96).reshape(given)
    plan = regroup(Order(order), _sizes(*given), _sizes(*wanted))
    assert plan is not None
    held = x.transpose(order).transpose(Order(order).to(plan.before))
    result = held.reshape([wanted[axis] for axis in plan.after.axes])
    np.testing.assert_array_equal(result, x.reshape(wanted).transpose(plan.after.axes))

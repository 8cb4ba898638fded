"""What is worked out of many rows at once is, bit for bit, what is worked out of each alone."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.verification import stacked

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [0, 1, 3, 10, 129, 1000])
def test_a_row_among_others_is_as_it_is_alone(size):
    rows = RNG.standard_normal((40, size)) * 10.0 ** RNG.integers(-200, 100, (40, 1))
    alone = [stacked.norms(row[None])[0] for row in rows]
    assert np.array_equal(stacked.norms(rows), alone)
    assert np.array_equal(stacked.norms(rows), [_norm(row) for row in rows])
    limited = [stacked.root_mean_squares(row[None], 1e30)[0] for row in rows]
    assert np.array_equal(stacked.root_mean_squares(rows, 1e30), limited)


def _norm(values):
    largest = float(np.max(np.abs(values), initial=0.0))
    return largest * float(np.sqrt(np.sum((values / largest) ** 2))) if largest else 0.0


def test_what_is_not_finite_is_left_out_of_its_own_row_alone():
    rows = RNG.standard_normal((3, 8))
    spoilt = rows.copy()
    spoilt[1, 2] = np.nan
    found, clean = (stacked.root_mean_squares(each, 1e30) for each in (spoilt, rows))
    assert np.array_equal(found[[0, 2]], clean[[0, 2]])
    assert found[1] == stacked.root_mean_squares(np.delete(rows[1], 2)[None], 1e30)[0]


def test_rows_of_one_size_are_stacked_in_their_order(monkeypatch):
    monkeypatch.setattr(stacked, "_ELEMENTS", 8)
    rows = [np.full(size, index, np.float32) for index, size in enumerate((4, 4, 4, 2, 4, 100, 0, 0))]
    places = []
    for place, (one, two) in stacked.stacks(rows, [row + 1 for row in rows]):
        assert all(map(np.array_equal, one, rows[place]))
        assert np.array_equal(two, one + 1)
        places.append((place.start, place.stop))
    assert places == [(0, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 8)]

"""The measure itself, on arrays whose errors are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.signature import TensorSpec
from toolkit.verification import compare
from toolkit.verification.compare import Mismatch

SPEC = TensorSpec("y", "float32", ("batch", 8))
RNG = np.random.default_rng(0)


def _model(rows=64, noise=1e-6, error=1e-6, size=1.0):
    """Truth, source and export with errors of given relative sizes, one flat array per input."""
    truth = size * RNG.standard_normal((rows, 8))
    source = (truth * (1 + noise * RNG.standard_normal(truth.shape))).astype(np.float32)
    export = (truth * (1 + error * RNG.standard_normal(truth.shape))).astype(np.float32)
    return list(truth), list(source), list(export)


STRUCTURE = {
    "same": (np.zeros((2, 3), np.float32), None),
    "dtype": (np.zeros((2, 3)), "dtype float64 where the source has float32"),
    "shape": (np.zeros((2, 1), np.float32), "shape [2, 1] where the source has [2, 3]"),
    "broadcasts": (np.zeros((3,), np.float32), "shape [3] where the source has [2, 3]"),
    "empty": (np.zeros((0, 3), np.float32), "shape [0, 3] where the source has [2, 3]"),
    "scalar": (np.zeros((), np.float32), "shape [] where the source has [2, 3]"),
    "NaN": (np.full((2, 3), np.nan, np.float32), "6 NaN that the source does not have"),
    "Inf": (np.array([[0, 0, np.inf], [0, 0, 0]], np.float32), "1 Inf that the source does not have"),
    "-Inf": (np.array([[0, 0, -np.inf], [0, 0, 0]], np.float32), "1 -Inf that the source does not have"),
    "no array": ([[0.0]], "a list where the source has a tensor"),
    "nothing": (None, "a NoneType where the source has a tensor"),
}


@pytest.mark.parametrize("case", STRUCTURE)
def test_structure(case):
    export, what = STRUCTURE[case]
    found = compare.check_structure("y", np.zeros((2, 3), np.float32), export)
    assert found == (Mismatch("output 'y'", what) if what else None)


def test_structure_wants_nan_where_the_source_has_it():
    source = np.array([np.nan, 1, np.inf], np.float32)
    assert compare.check_structure("y", source, source.copy()) is None
    found = compare.check_structure("y", source, np.array([0, 1, np.inf], np.float32))
    assert found.what == "no NaN where the source has it"
    swapped = compare.check_structure("y", source, np.array([np.inf, 1, np.nan], np.float32))
    assert swapped.what == "1 NaN that the source does not have"


def test_equal_errors_give_a_ratio_of_one():
    measured = compare.measure(*_model(rows=512, noise=1e-4, error=1e-4))
    assert 0.9 < measured.pooled < 1.2
    assert measured.ratios.max() < 4


@pytest.mark.parametrize("factor", [10, 1e3, 1e5])
def test_the_ratio_is_that_of_the_errors(factor):
    measured = compare.measure(*_model(rows=512, noise=1e-6, error=1e-6 * factor))
    assert factor / 2 < measured.pooled < factor * 2


@settings(max_examples=40)
@given(st.floats(-30, 30))
def test_the_ratio_does_not_depend_on_the_unit(power):
    truth, source, export = _model(rows=32, noise=1e-5, error=1e-4)
    scale = 2.0 ** round(power)
    scaled = [[array * array.dtype.type(scale) for array in side] for side in (truth, source, export)]
    assert compare.measure(*scaled).pooled == pytest.approx(compare.measure(truth, source, export).pooled, rel=1e-6)


@settings(max_examples=40)
@given(st.integers(0, 63), st.floats(1e-3, 1e3))
def test_one_wrong_input_among_many_is_found(index, by):
    truth, source, _ = _model()
    export = [row.copy() for row in source]
    export[index] = (export[index] + np.float32(by)).astype(np.float32)
    measured = compare.measure(truth, source, export)
    assert measured.worst == index
    assert measured.ratios.max() > 10


def test_one_wrong_value_among_many_is_found():
    truth = [RNG.standard_normal(100_000) for _ in range(4)]
    source = [row.astype(np.float32) for row in truth]
    export = [row.copy() for row in source]
    export[2][77] += 0.1
    assert compare.measure(truth, source, export).ratios.argmax() == 2
    assert compare.measure(truth, source, export).ratios.max() > 100


def test_a_source_that_is_exact_by_luck_does_not_make_others_wrong():
    truth, source, export = _model(noise=1e-6, error=1e-6)
    source[5] = truth[5].astype(np.float32)
    truth[5] = source[5].astype(np.float64)
    assert compare.measure(truth, source, export).ratios[5] < 10


def test_tiny_rows_are_judged_at_the_usual_precision():
    """A softmax that is nearly 0 everywhere but for one class is not off by 100 % where it is off by 1e-12."""
    truth, source, export = _model(noise=1e-7, error=1e-7)
    truth[3] = np.full(8, 1e-12)
    source[3], export[3] = np.full(8, 1e-12, np.float32), np.full(8, 2e-12, np.float32)
    assert compare.measure(truth, source, export).ratios[3] < 1


def test_noise_on_a_few_inputs_excuses_nothing_on_the_others():
    """Denormals are flushed: the source is wrong by 100 % on them, and rightly so."""
    truth, source, export = _model(noise=1e-7, error=1e-7)
    kinds = ["normal"] * 60 + ["denormal"] * 4
    for row in range(60, 64):
        truth[row] *= 1e-40
        source[row] = np.zeros(8, np.float32)
        export[row] = np.zeros(8, np.float32)
    assert compare.measure(truth, source, export, kinds).pooled < 3
    export[7] = (export[7] * 1.001).astype(np.float32)
    assert compare.measure(truth, source, export, kinds).ratios[7] > 100


def test_denormal_inputs_may_be_flushed_where_the_source_is_exact():
    """Doubled, 1e-40 is 2e-40 or, where denormals are flushed, 0; what is off on other inputs stays wrong."""
    rows = [np.float32([1.0, 2.0, -3.0]), np.float32([1e-40, -2e-40, 3e-41]), np.float32([0.5, 1.5, 2.5])]
    doubled = [2 * row for row in rows]
    flushed = [doubled[0], np.zeros(3, np.float32), doubled[2]]
    truth = [row.astype(np.float64) for row in doubled]
    kinds = ["normal", "denormal", "normal"]
    assert compare.measure(truth, doubled, flushed, kinds).exact_ulp < compare.EXACT_ULP
    assert compare.measure(truth, doubled, flushed, ["normal"] * 3).exact_ulp > compare.EXACT_ULP
    wrong = [doubled[0], flushed[1] + np.float32(1e-3), doubled[2]]
    assert compare.measure(truth, doubled, wrong, kinds).exact_ulp > compare.EXACT_ULP


def test_a_truth_beyond_float32_is_cut_off_as_the_source_is():
    """`nan_to_num` of infinity is the largest number of the dtype: float64's in the truth, float32's in the source."""
    most = np.finfo(np.float32).max
    source = [np.float32([most, 1.0])] + [np.float32([2.0, 3.0])] * 4
    truth = [np.array([np.finfo(np.float64).max, 1.0])] + [np.array([2.0, 3.0])] * 4
    measured = compare.measure(truth, source, source)
    assert measured.ratios.max() == 0.0
    assert compare.measure(truth, source, [-source[0], *source[1:]]).ratios[0] > 1e6


def test_an_exact_source_is_told_apart():
    source = [row.astype(np.float32) for row in RNG.standard_normal((40, 8))]
    truth = [row.astype(np.float64) for row in source]
    assert compare.measure(truth, source, source).exact_source
    described, _ = compare.describe(SPEC, [np.stack(truth)], [np.stack(source)], [np.stack(source)])
    assert described.identical
    assert described.noise_ratio is None


def test_a_nan_in_the_numbers_never_passes_for_a_small_ratio():
    truth, source, export = _model()
    export[0] = np.full(8, np.nan, np.float32)
    measured = compare.measure(truth, source, export)
    assert not measured.pooled <= 3
    assert compare.relative_difference(truth[0], source[0], export[0]) == float("inf")


def test_rows_without_values_are_no_division_by_zero():
    empty = [np.zeros(0, np.float32)] * 3
    measured = compare.measure([np.zeros(0)] * 3, empty, empty)
    assert measured.pooled == 0


def test_overflow_and_underflow_of_squares():
    truth = [np.full(8, 1e300)] * 32
    source = [np.full(8, 1e300 * (1 + 1e-15))] * 32
    measured = compare.measure(truth, source, [np.full(8, 1.001e300)] * 32)
    assert np.isfinite(measured.pooled)
    assert measured.pooled > 1e6


def _described(source, export, dtype, truth=None):
    spec = TensorSpec("y", dtype, ("batch", *source.shape[1:]))
    return compare.describe(spec, [source if truth is None else truth], [source], [export])[0]


def test_integers_booleans_and_strings_are_identical_or_not():
    for dtype, values in (("int64", [[1], [2]]), ("bool", [[True], [False]]), ("string", [["a"], ["b"]])):
        array = np.array(values, object if dtype == "string" else dtype)
        other = array[::-1].copy()
        assert _described(array, array.copy(), dtype).identical
        assert not _described(array, other, dtype).identical


def test_a_class_that_flips_within_the_noise_is_a_tie():
    truth = np.array([[0.5, 0.5 + 1e-9, 0], [0.9, 0.1, 0]])
    source = np.array([[0.5, 0.5 + 1e-7, 0], [0.9, 0.1, 0]], np.float32)
    export = np.array([[0.5 + 1e-7, 0.5, 0], [0.1, 0.9, 0]], np.float32)
    described = _described(source, export, "float32", truth)
    assert (described.agree, described.ties, described.count) == (0, 1, 2)


def test_the_raw_figures():
    source = np.array([[1.0, -2.0]], np.float32)
    export = np.array([[1.5, -2.0]], np.float32)
    described = _described(source, export, "float32", source.astype(np.float64))
    assert (described.max_abs, described.max_rel) == (0.5, 0.5)
    assert described.max_ulp == 0.5 / np.spacing(np.float32(1))
    assert described.cosine == pytest.approx(5.5 / np.sqrt(5 * 6.25))


def test_an_output_without_batch_dimension_is_one_row_per_call():
    spec = TensorSpec("y", "float32", (3,))
    assert [row.shape for row in compare.rows_of(spec, [np.zeros(3)] * 2)] == [(3,), (3,)]
    assert len(compare.rows_of(SPEC, [np.zeros((2, 8)), np.zeros((5, 8))])) == 7


def _classes(rows=64, classes=8):
    truth = [RNG.integers(0, classes, 50) for _ in range(rows)]
    return truth, [row.copy() for row in truth], [row.copy() for row in truth]


def test_classes_that_agree_with_the_truth_are_compared_exactly():
    truth, source, export = _classes()
    assert compare.measure_counts(truth, source, export).exact_source
    export[9][0] += 1
    measured = compare.measure_counts(truth, source, export)
    assert (measured.worst, measured.ratios[9], measured.ratios[8]) == (9, np.inf, 0)


def test_ties_of_the_source_are_the_noise_of_its_classes():
    truth, source, export = _classes()
    kinds = ["large"] * 8 + ["normal"] * 56
    for row in range(8):
        source[row][:2] += 1
        export[row][3:6] += 1
    measured = compare.measure_counts(truth, source, export, kinds)
    assert measured.pooled == pytest.approx(1.5)
    export[20][0] += 1  # where no input of its kind has a tie
    assert compare.measure_counts(truth, source, export, kinds).ratios[20] == np.inf


def test_a_weighed_tie_is_noise():
    truth, source, export = _classes()
    export[9][0] += 1
    condition = np.zeros(64)
    condition[9] = 0.5
    assert compare.measure_counts(truth, source, export, None, condition).ratios[9] == 2


def test_a_source_that_seldom_agrees_with_its_truth_is_no_measure():
    truth, source, export = _classes()
    for row in source:
        row[:5] += 1
    assert compare.measure_counts(truth, source, export) is None


def test_no_bar_of_the_histogram_lies_on_both_sides_of_a_usual_limit():
    described, measured = compare.describe(SPEC, *([np.stack(part)] for part in _model(rows=2048, error=3e-6)))
    edges, counts = np.array(described.errors.edges), np.array(described.errors.counts)
    assert {1.0, 3.0, 10.0} <= set(edges)
    assert np.all(np.diff(edges) > 0)
    assert counts.sum() == 2048
    beyond = np.count_nonzero(measured.ratios >= 3)
    assert 0 < counts[edges[:-1] >= 3].sum() == beyond < 2048

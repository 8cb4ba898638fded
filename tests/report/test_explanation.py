from dataclasses import replace

import pytest

from toolkit.report import explanation
from toolkit.report.explanation import words
from toolkit.verification.report import Lens, Verdict

LIMITS = {"pass_ratio": 3.0, "fail_ratio": 10.0, "worst_ratio": 10.0}


def with_output(row, **changes):
    return replace(row, outputs=(replace(row.outputs[0], **changes),))


def test_a_failure_in_words(report):
    assert words(report.rows[3], LIMITS) == (
        "The export does not predict what its source predicts: starts at bn1: epsilon 1e-3 in the file, 1e-5 in the "
        "source. Output 'probabilities' (float32) differs by at most 4.1e-01 over 512 inputs. Against the truth its "
        "error is 8.1e+05 times the source's own rounding error, and 1.5e+06 times on the worst input (number 17). "
        "Rounding in another order costs up to 3 times; above 10 it is a mistake. The largest class is the same on 61 "
        "of 512 inputs. The float64 lens failed: in float64 the outputs differ by 2.0e-01. The weights lens passed: "
        "all. In float64 the difference stays, so it is no rounding: an operator or a parameter is not the source's. "
        "Start where the reason points, and export again."
    )


def test_a_row_that_did_not_run_in_words(report):
    assert words(report.rows[2], LIMITS) == (
        "Nothing was compared, because the file could not be run here: cuda: libcublasLt.so.13 missing. "
        "`toolkit doctor` shows what each runtime lacks here and the one line that mends it."
    )


def test_a_pass_in_words_asks_for_nothing(report):
    assert words(report.rows[0], LIMITS) == (
        "The export predicts what its source predicts: identical. Output 'probabilities' (float32) is bit for bit the "
        "source's on all 512 inputs. The largest class is the same on all 512 inputs."
    )


@pytest.mark.parametrize(
    ("pooled", "worst", "limits", "meaning"),
    [
        (0.9, 2.0, LIMITS, "Rounding in another order costs up to 3 times: this is no more."),
        (3.0, 10.0, LIMITS, "Rounding in another order costs up to 3 times: this is no more."),
        (4.2, 9.0, LIMITS, "Rounding in another order costs up to 3 times, so it is an unlikely explanation here."),
        (2.0, 11.0, LIMITS, "Rounding in another order costs up to 3 times, and above 10 on no single input."),
        (11.0, 99.0, LIMITS, "Rounding in another order costs up to 3 times; above 10 it is a mistake."),
        (1.4, 2.0, {**LIMITS, "max_ratio": 1.2}, "The limit that was asked for is 1.2 times."),
    ],
)
def test_what_a_figure_means(report, pooled, worst, limits, meaning):
    row = with_output(report.rows[1], noise_ratio=pooled, worst_ratio=worst)
    assert meaning in explanation.measured(row, limits)


def test_without_limits_a_figure_means_nothing(report):
    assert "" in explanation.measured(report.rows[1], {})


def test_exact_outputs_have_no_noise(report):
    row = with_output(report.rows[3], noise_ratio=None, dtype="int64", max_abs=2.0, agree=None)
    assert explanation.measured(row, LIMITS) == [
        "Output 'probabilities' (int64) was compared exactly and is not the same; the largest difference is 2.0e+00.",
        "",
    ]


def test_ties_are_no_errors(report):
    row = with_output(report.rows[1], agree=510, ties=2)
    assert explanation.measured(row, LIMITS)[-1] == (
        "The largest class is the same on 510 of 512 inputs. 2 of the others are ties, where the source's own margin "
        "is below its rounding error."
    )


@pytest.mark.parametrize(
    ("lenses", "start"),
    [
        ([("float64", True), ("weights", False)], "The file's weights are not the source's"),
        ([("float64", False), ("weights", None)], "In float64 the difference stays"),
        ([("float64", True), ("weights", None)], "In float64 both sides agree"),
        ([("float64", None)], "Start where the reason points"),
        ([], "Start where the reason points"),
    ],
)
def test_what_to_do_about_a_failure_depends_on_the_lenses(report, lenses, start):
    row = replace(report.rows[3], lenses=tuple(Lens(name, passed, None, "") for name, passed in lenses))
    assert explanation.next_step(row).startswith(start)


def test_a_failure_before_any_comparison_points_to_its_reason_alone(report):
    row = replace(report.rows[3], outputs=(), lenses=())
    assert explanation.next_step(row) == (
        "Mend what the reason names and export again: without it nothing could be compared."
    )


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.PASS])
def test_every_verdict_but_pass_says_what_to_do(report, verdict):
    row = replace(report.rows[2], verdict=verdict)
    assert explanation.next_step(row).endswith(".")
    assert words(row, LIMITS).endswith(explanation.next_step(row))

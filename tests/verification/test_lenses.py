"""The float64 lens: how far two runs may differ, and by what."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from toolkit.errors import Inconclusive
from toolkit.signature import Signature, TensorSpec
from toolkit.verification import lenses
from toolkit.verification.plan import Batch
from toolkit.verification.reference import Answers
from toolkit.verification.weights import Fingerprint

SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 4)),),
    (TensorSpec("y", "float32", ("batch", 4)), TensorSpec("label", "int64", ("batch",))),
)
TRUTH = np.random.default_rng(0).standard_normal((40, 4))
BATCH = Batch("normal", {"x": TRUTH.astype(np.float32)}, 40)
LABELS = np.arange(40)
ANSWERS = Answers(
    (BATCH,), [{"y": TRUTH.astype(np.float32), "label": LABELS}], [{"y": TRUTH, "label": LABELS}], "in float64"
)
SAME = [Fingerprint("w", 4, 1)]


class FakeSide:
    """What the lenses ask of a side."""

    signature, ran_on = SIGNATURE, "cpu"
    given: ClassVar[dict[str, np.ndarray]] = {}

    def __init__(self, factor=1.0, prints=(), labels=LABELS, error=None, moved=None):
        self.factor, self.prints, self.labels, self.error = factor, list(prints), labels, error
        self.moved = factor if moved is None else moved  # the factor with other last bits of its constants

    def prepare_float64(self, like, *, few_bits):
        if self.error:
            raise self.error

    def run_float64(self, batches):
        return [{"y": TRUTH * self.factor, "label": self.labels}]

    def run_moved(self, batches, known):
        return [{"y": TRUTH * self.moved, "label": self.labels}]

    def fingerprints(self):
        return self.prints

    def weights(self, names):
        first = self.prints[0].hash if self.prints else 1
        return {name: np.array([first, 1.0, 1.0, 1.0]) for name in names}


def _look(side, source=SAME, answers=ANSWERS, noise=1e-7):
    return lenses.look(side, FakeSide(), source, answers, noise)


CASES = {
    "equal": (1.0, SAME, True, "agrees to 0.0e+00"),
    "rounding in float64": (1 + 5e-14, SAME, True, "agrees to 5.0e-14"),
    "scalars": (1 + 5e-8, SAME, True, "agrees to 5.0e-08: scalars were rounded to float32"),
    "another epsilon": (
        1 + 1e-6, SAME, False,
        "in float64 the outputs differ by 1.0e-06 relative, with the same weights: the arithmetic differs",
    ),
    "other weights": (
        1 + 1e-6, [Fingerprint("w", 4, 2)], False,
        "in float64 the outputs differ by 1.0e-06 relative, with other weights",
    ),
    "folded": (1 + 1e-6, (), True, "agrees to 1.0e-06: weights were folded in float32"),
    "more than folded": (
        1 + 1e-5, (), False,
        "in float64 the outputs differ by 1.0e-05 relative, more than folding in float32 explains",
    ),
    "NaN": (float("nan"), SAME, False, "in float64 the outputs differ by inf relative, with the same weights"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_float64_lens(case):
    factor, prints, passed, detail = CASES[case]
    found, _ = _look(FakeSide(factor, prints))
    assert (found.name, found.passed) == ("float64", passed)
    assert found.detail.startswith(detail)


def test_more_noise_in_float32_allows_more_in_float64():
    side = FakeSide(1 + 1e-11, SAME)
    assert "scalars" in _look(side, noise=1e-7)[0].detail
    assert _look(side, noise=1e-3)[0].detail == "agrees to 1.0e-11"


def test_constants_that_a_model_amplifies_explain_as_much():
    found = {
        moved: _look(FakeSide(1 + 3e-6, SAME, moved=moved), noise=2e-6)[0] for moved in (1 + 3e-6, 1 + 3.5e-6, 1 + 4e-6)
    }
    assert [lens.passed for lens in found.values()] == [False, False, True]
    assert found[1 + 4e-6].detail == "agrees to 3.0e-06: its constants were rounded to float32"


def test_integer_outputs_must_be_equal_in_float64():
    assert _look(FakeSide(1.0, SAME, labels=LABELS[::-1]))[0].passed is False


def test_a_lens_that_cannot_look_says_why():
    found, bits = _look(FakeSide(prints=SAME, error=Inconclusive("no kernel for Foo")))
    assert (found.passed, found.detail) == (None, "not run: no kernel for Foo")
    assert bits.passed
    found, _ = _look(FakeSide(prints=SAME), answers=replace(ANSWERS, in_float64=False))
    assert (found.passed, found.detail) == (None, "not run: the source has no float64 form")


def test_on_other_devices_nothing_is_looked_at():
    side = FakeSide()
    side.ran_on = "cuda:0"
    assert _look(side) == []

"""Ill-conditioned inputs: their noise is at least what their own rounding does; a wrong file gains nothing by it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from toolkit.signature import Signature, TensorSpec
from toolkit.verification import compare, condition, golden, lenses
from toolkit.verification.plan import Batch
from toolkit.verification.reference import Answers
from toolkit.verification.weights import Fingerprint

SPEC = TensorSpec("y", "float32", ("batch", 2))
SAME = [Fingerprint("w", 4, 1)]
SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 2)),), (SPEC,))


def _model(x):
    """y = 1 / (x0 - x1), twice: where the two are almost equal, their rounding is much of what is left."""
    y = 1 / (x[:, 0] - x[:, 1])
    return np.stack([y, y], 1)


class FakeSide:
    """A source whose float64 form is known."""

    signature, float64 = SIGNATURE, ("worker", "handle")
    given: ClassVar[dict[str, np.ndarray]] = {}

    def weights(self, names):
        return {name: np.ones(4) for name in names}

    def run_float64(self, batches):
        return [{"y": _model(batch.inputs["x"].astype(np.float64))} for batch in batches]

    def run(self, batches):
        return [
            {name: array.astype(np.float32) for name, array in batch.items()} for batch in self.run_float64(batches)
        ]


def _answers(cancelling=(5,), rows=32):
    """Source answers that are right to 1e-7, and by luck exact on the inputs that cancel."""
    generator = np.random.default_rng(3)
    x = generator.standard_normal((rows, 2)).astype(np.float32)
    x[:, 1] = -np.abs(x[:, 1])
    x[:, 0] = np.abs(x[:, 0])
    for row in cancelling:
        x[row] = 1.0, np.float32(1.0) + np.float32(2.0**-20)
    truth = _model(x.astype(np.float64))
    source = (truth * (1 + 1e-7 * generator.standard_normal(truth.shape))).astype(np.float32)
    source[list(cancelling)] = truth[list(cancelling)]
    batches = tuple(Batch("normal", {"x": x[i : i + 4]}, 4) for i in range(0, rows, 4))
    split = [[{"y": a[i : i + 4]} for i in range(0, rows, 4)] for a in (source, truth)]
    return Answers(batches, split[0], split[1], "in float64")


def _export(answers, row, moved):
    """What a file gives that errs by `moved` of itself on one input and is as good as the source on the others."""
    whole = np.concatenate([batch["y"] for batch in answers.source])
    whole[row] *= np.float32(1 + moved)
    return [whole[i : i + 4] for i in range(0, len(whole), 4)]


def _compared(answers, export):
    truth, source = ([batch["y"] for batch in each] for each in (answers.truth, answers.source))
    kinds = [batch.kind for batch in answers.batches]
    return compare.describe(SPEC, truth, source, export, kinds, answers.condition(SPEC))


def _beyond(answers, export):
    return condition.beyond(SIGNATURE, answers.batches, answers.source, [_compared(answers, export)], 3.0)


def test_the_rounding_of_an_ill_conditioned_input_is_allowed():
    answers = _answers()
    export = _export(answers, 5, 2.0**-4)  # as much as half a ULP of the inputs makes
    assert _compared(answers, export)[1].ratios[5] > 10
    assert _beyond(answers, export) == [1]
    weighed = condition.weigh(FakeSide(), answers, [1])
    assert _compared(weighed, export)[1].ratios[5] < 3
    moves = weighed.condition(SPEC)
    assert 0.05 < moves[5] < 0.3  # two ULP of 2**-23, more or less, in 2**-20
    assert moves[4] < 1e-6  # a neighbour in the same batch
    assert not moves[8:].any()  # the others were not asked


def test_what_the_source_errs_by_beside_an_input_is_allowed():
    """Rounding within the model, which moves its inputs' truth by little, and which the source escaped by luck."""
    answers = _answers(cancelling=())

    class Noisy(FakeSide):
        generator = np.random.default_rng(1)

        def run(self, batches):
            found = super().run(batches)
            for batch in found:
                batch["y"][1] *= np.float32(1 + 1e-4 * self.generator.standard_normal())
            return found

    export = _export(answers, 5, 1e-4)
    assert _compared(answers, export)[1].ratios[5] > 10
    weighed = condition.weigh(Noisy(), answers, _beyond(answers, export))
    assert _compared(weighed, export)[1].ratios[5] < 3
    assert weighed.condition(SPEC)[4] < 1e-6  # a neighbour in the same batch


def test_an_error_beyond_that_rounding_is_not_allowed():
    answers = _answers()
    export = _export(answers, 5, 3.0)
    weighed = condition.weigh(FakeSide(), answers, _beyond(answers, export))
    assert _compared(weighed, export)[1].ratios[5] > 10


def test_an_error_on_a_good_input_is_not_allowed():
    answers = _answers()
    export = _export(answers, 9, 1e-4)
    weighed = condition.weigh(FakeSide(), answers, _beyond(answers, export))
    assert _compared(weighed, export)[1].ratios[9] > 10


def test_an_error_on_many_inputs_is_not_weighed():
    answers = _answers(cancelling=(1, 5, 9))
    whole = np.concatenate([batch["y"] for batch in answers.source]) * np.float32(1.001)
    assert _beyond(answers, [whole[i : i + 4] for i in range(0, 32, 4)]) == []


@pytest.mark.parametrize(
    ("kind", "forgiven"), [(compare.DENORMAL, 0.0), ("normal", 2.0**23)], ids=["denormal", "normal"]
)
def test_an_exact_source_lets_only_denormal_numbers_be_taken_for_zero(kind, forgiven):
    """What side of 0 a number lies on: 1 for one that is denormal, 0 where it is taken for 0."""
    truth, export = [np.ones(2)] * 4, [np.ones(2, np.float32)] * 3 + [np.zeros(2, np.float32)]
    source = [row.astype(np.float32) for row in truth]
    kinds = ["normal"] * 3 + [kind]
    found = compare.measure(truth, source, export, kinds, np.array([0.0, 0.0, 0.0, 1.0]))
    assert found.exact_source
    assert found.exact_ulp == pytest.approx(forgiven, rel=0.5)


def test_the_same_inputs_are_weighed_once():
    answers = condition.weigh(FakeSide(), _answers(), [1])
    assert condition.weigh(FakeSide(), answers, [1]) is answers
    assert sorted(condition.weigh(FakeSide(), answers, [1, 3]).conditions) == [1, 3]


def test_a_bundle_keeps_them(tmp_path):
    answers = condition.weigh(FakeSide(), _answers(), [1])
    path = tmp_path / golden.NAME
    golden.save(path, golden.Golden(answers.batches, answers.source, answers.truth, {}, answers.conditions))
    found = golden.load(path)
    np.testing.assert_array_equal(found.conditions[1]["y"], answers.conditions[1]["y"])
    assert not golden.load(_without(tmp_path, answers)).conditions


def _without(folder, answers):
    path = folder / "without.safetensors"
    golden.save(path, golden.Golden(answers.batches, answers.source, answers.truth, {}))
    return path


@pytest.mark.parametrize(("row", "passed"), [(5, True), (9, False)], ids=["noisy input", "usual input"])
def test_the_float64_lens_goes_by_an_inputs_own_noise(row, passed):
    """A scalar's rounding (3e-9 of the usual outputs) is amplified as the source's own rounding is."""
    answers = _answers()
    noisy = np.concatenate([batch["y"] for batch in answers.source])
    noisy[5] *= np.float32(1.01)
    source = [{"y": noisy[i : i + 4]} for i in range(0, 32, 4)]
    whole = np.concatenate([batch["y"] for batch in answers.truth])
    whole[row] *= 1 + 3e-5
    export = [{"y": whole[i : i + 4]} for i in range(0, 32, 4)]

    class File(FakeSide):
        ran_on = "cpu"

        def prepare_float64(self, like, *, few_bits):
            pass

        def run_float64(self, batches):
            return export

        def run_moved(self, batches, known):
            return export

        def fingerprints(self):
            return SAME

    found, _ = lenses.look(File(), FakeSide(), SAME, replace(answers, source=source), 1e-7)
    assert (found.name, found.passed) == ("float64", passed)


class RootSide(FakeSide):
    """The root: of a denormal number below 0 NaN, of 0 it is 0."""

    def run_float64(self, batches):
        with np.errstate(invalid="ignore"):
            return [{"y": np.sqrt(batch.inputs["x"].astype(np.float64))} for batch in batches]


@pytest.mark.parametrize(("value", "kept"), [(0.0, False), (1.0, True)])
def test_a_denormal_number_may_be_taken_for_zero_where_that_decides_on_nan(value, kept):
    side = RootSide()
    batches = tuple(Batch("denormal", {"x": np.full((2, 2), x, np.float32)}, 2) for x in (-1e-40, 4.0))
    answers = Answers(batches, side.run(batches), side.run_float64(batches), "in float64")
    outputs = [{"y": np.full((2, 2), value, np.float32)}, {"y": np.full((2, 2), 2.0, np.float32)}]
    found = condition.flushed(side, answers, outputs)
    assert np.isnan(answers.source[0]["y"]).all()
    assert found.batches[1] is batches[1]
    # whatever finite number the file has there, it is compared with the source's own of 0
    np.testing.assert_array_equal(found.source[0]["y"], 0.0)
    sides = (compare.rows_of(SPEC, [each["y"]]) for each in (found.truth[0], found.source[0], outputs[0]))
    wrong = compare.relative_differences(*sides)
    assert bool(wrong.any()) is kept


def test_places_of_equal_scores_are_ties():
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", 3)),),
        (TensorSpec("scores", "float32", ("batch", 5)), TensorSpec("places", "int64", ("batch", 5)),
         TensorSpec("best", "int64", ("batch",)), TensorSpec("best_score", "float32", ("batch",))),
    )  # fmt: skip
    scores = np.array([[1, 1, 1, 0.5, 0.2], [5, 4, 3, 2, 1], [1, 0.5, 1, 0.5, 0]], np.float32)
    outputs = {"scores": scores, "places": np.zeros((3, 5), np.int64), "best": np.zeros(3, np.int64),
               "best_score": np.ones(3, np.float32)}  # fmt: skip
    ties = [condition._of_equal_scores(signature, signature.output(name), outputs) for name in ("places", "best")]
    assert ties[0].tolist() == [3, 0, 4]
    assert ties[1].tolist() == [0, 0, 0], "other inputs with the same score are no ties of this one's"

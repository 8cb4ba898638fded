"""Sources that prove less than they should, and files that bring down what stands beside them."""

from __future__ import annotations

import shutil
from zipfile import ZipFile

import numpy as np
import onnx
import pytest

from tests.verification import liars
from tests.verification.graphs import GRAPH_LIES
from toolkit import metadata
from toolkit.errors import WorkerCrashed
from toolkit.verification import compare, golden, reference, verifier
from toolkit.verification.judge import Thresholds
from toolkit.verification.plan import Batch
from toolkit.verification.reference import Answers, Doubt
from toolkit.verification.report import Verdict

# Model -> verdict on its own TorchScript file, and the reason.
DOUBTFUL = {
    "random": (
        Verdict.INCONCLUSIVE,
        "the source gives other outputs when run again: it is random, or keeps a state",
    ),
    "constant": (Verdict.INCONCLUSIVE, "the source's outputs do not depend on its inputs"),
    "bfloat16": (Verdict.INCONCLUSIVE, "it computes in reduced precision"),
    "hollow": (Verdict.INCONCLUSIVE, "the source's output 'empty' holds nothing that could be compared"),
}


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_a_doubtful_source_makes_no_file_pass(bench_of, kind):
    verdict, because = DOUBTFUL[kind]
    bench = bench_of(kind)
    row = bench.verdict(bench.write("model.pt", "torchscript", liars.TRACE))
    assert row.verdict is verdict
    assert because in row.reason


def test_a_random_source_makes_no_file_fail_by_its_numbers(bench_of):
    bench = bench_of("random")
    row = bench.verdict(bench.write("model.pt", "torchscript", liars.SCRIPT))
    assert row.verdict is Verdict.INCONCLUSIVE
    assert not bench.subject.described.deterministic


def test_a_wrong_file_fails_even_beside_a_source_in_reduced_precision(bench_of, right_onnx):
    bench = bench_of("bfloat16")
    model = onnx.load(right_onnx("dense"))
    GRAPH_LIES["negated"].edit(model)
    onnx.save(model, bench.folder / "wrong.onnx")
    assert bench.verdict(bench.folder / "wrong.onnx").verdict is Verdict.FAIL


def test_a_source_without_a_float64_form_is_judged_by_an_estimate(bench_of):
    bench = bench_of("float32_only")
    right = bench.verdict(bench.write("model.onnx", "onnx", liars.OLDER))
    wrong = bench.verdict(bench.write("wrong.pt", "torchscript", liars.TRACE, variant="gelu_tanh"))
    assert bench.subject.described.truth == (
        "the mean of 8 float32 runs with every weight moved by up to 1 ULP (it has no float64 form)"
    )
    assert right.verdict is Verdict.PASS
    assert right.lenses[0].detail == "not run: the source has no float64 form"
    assert wrong.verdict is Verdict.FAIL


def test_what_asks_for_float32_by_name_gets_float64_where_the_truth_is_made(bench_of):
    bench = bench_of("float32_inside")
    assert bench.subject.described.truth.endswith("in float64, casts to float32 in it widened")
    row = bench.verdict(bench.write("model.onnx", "onnx", liars.OLDER))
    assert (row.verdict, row.lenses[0].passed) == (Verdict.PASS, True)
    assert row.lenses[0].value < 1e-9  # its graph holds casts to float32, and they are widened too


def test_exact_arithmetic_must_stay_exact(bench_of):
    bench = bench_of("exact")
    row = bench.verdict(bench.write("model.pt", "torchscript", liars.SCRIPT))
    assert (row.verdict, row.reason) == (Verdict.PASS, "identical")
    assert row.outputs[0].noise_ratio is None
    wrong = bench.verdict(bench.write("wrong.pt", "torchscript", liars.TRACE, variant="two_ulp"))
    assert wrong.verdict is Verdict.FAIL
    assert "the source is exact, and the export differs by" in wrong.reason


def test_integer_outputs_are_compared_exactly(bench_of):
    bench = bench_of("classes")
    assert bench.verdict(bench.write("model.onnx", "onnx", liars.OLDER)).verdict is Verdict.PASS
    wrong = bench.verdict(bench.write("wrong.pt", "torchscript", liars.TRACE, variant="next_class"))
    assert (wrong.verdict, wrong.reason) == (Verdict.FAIL, "output 'label': int64 values differ")


def test_a_doubtful_ratio_gets_more_inputs(dense_bench, right_onnx):
    model = onnx.load(right_onnx("dense"))
    GRAPH_LIES["off by 3e-6"].edit(model)
    path = dense_bench.folder / "doubtful.onnx"
    onnx.save(model, path)
    row = dense_bench.verdict(path)
    assert 3 < row.worst_output.noise_ratio <= 10
    assert row.verdict is Verdict.FAIL
    assert row.reason.endswith("above 3, still doubtful after more inputs")
    assert row.worst_output.count > 3 * dense_bench.subject.plan.count


def test_counts_agree_whatever_the_batch_is_called(dense_bench, bench_of):
    other = bench_of("renamed_batch")
    assert other.subject.signature.batch == "N"
    row = other.verdict(other.write("model.pt", "torchscript", liars.SCRIPT))
    assert row.outputs[0].count == other.subject.plan.coverage().inputs == dense_bench.subject.plan.count


def test_a_crash_is_no_other_files_fault(bench_of, pool, monkeypatch):
    bench = bench_of("dense")
    right = bench.write("right.pt", "torchscript", liars.SCRIPT)
    crash = bench.write("crash.pt", "torchscript", liars.SCRIPT)
    open_file = verifier.rows.open_file

    def dying(pool, path, *rest):
        if path == crash:
            pool.worker("torch").close()  # and with it the source, which lives in the same process
            raise WorkerCrashed("torch crashed: SIGSEGV (run)")
        return open_file(pool, path, *rest)

    monkeypatch.setattr(verifier.rows, "open_file", dying)
    rows = bench.verdicts([right, crash, right])
    assert [row.verdict for row in rows] == [Verdict.PASS, Verdict.CRASHED, Verdict.PASS]
    assert rows[2].lenses == rows[0].lenses
    assert bench.subject.side.is_open()


def test_a_file_without_names_that_returns_too_little_fails(dense_bench, tmp_path):
    """It declares nothing, so that only running it tells; what it cannot do is a difference, not a user's mistake."""
    whole = dense_bench.write("one_output.pt", "torchscript", liars.TRACE, variant="one_output")
    path = tmp_path / "nameless.pt"
    with ZipFile(whole) as source, ZipFile(path, "w") as target:
        for item in source.infolist():
            if not item.filename.endswith(metadata.FILE):
                target.writestr(item, source.read(item))
    row = dense_bench.verdict(path)
    assert row.verdict is Verdict.FAIL
    assert row.reason == "the model returned 1 tensors, its signature declares 2: ('scores', 'logits')"


def test_a_file_that_changes_while_it_is_verified_does_not_pass(dense_bench, right_onnx, monkeypatch):
    path = dense_bench.folder / "moving.onnx"
    shutil.copy(right_onnx("dense"), path)
    run = compare.describe

    def touching(*args, **named):
        path.write_bytes(path.read_bytes() + b"\x00" * 0 + b"\x22\x00")
        return run(*args, **named)

    monkeypatch.setattr(compare, "describe", touching)
    row = dense_bench.verdict(path)
    assert (row.verdict, row.reason) == (Verdict.ERROR, "the file changed while it was verified")


def test_limits_of_the_users_own_only_make_it_stricter(dense_bench, right_onnx):
    path = right_onnx("dense")
    strict = dense_bench.verdict(path, thresholds=Thresholds(max_ratio=0.01))
    assert strict.verdict is Verdict.FAIL
    assert "above 0.01" in strict.reason
    loose = GRAPH_LIES["off by 3e-6"]
    model = onnx.load(path)
    loose.edit(model)
    onnx.save(model, dense_bench.folder / "loose.onnx")
    row = dense_bench.verdict(dense_bench.folder / "loose.onnx", thresholds=Thresholds(max_ratio=100, atol=1, rtol=1))
    assert row.verdict is Verdict.FAIL


def _answers(kinds):
    batches = tuple(Batch(kind, {"x": np.full((size, 1), size)}, size) for kind, size in kinds)
    outputs = [{"y": np.full((batch.size, 1), float(batch.size))} for batch in batches]
    return Answers(batches, outputs, outputs, "test")


def test_a_sample_holds_every_kind():
    answers = _answers([("real", 64), ("real", 64), ("zeros", 1), ("large", 2)])
    assert [batch.kind for batch in answers.sample(10).batches] == ["real", "zeros", "large"]
    assert [batch.size for batch in answers.sample(100).batches] == [64, 64, 1, 2]
    assert answers.sample(1000) == answers.sample(131)


def test_answers_add_up_with_their_doubts():
    first, second = _answers([("a", 1)]), _answers([("b", 2)])
    both = reference.replace(first, doubts=(Doubt("one"),)).extended(
        reference.replace(second, doubts=(Doubt("two", blind=True),), repeats=False)
    )
    assert [batch.kind for batch in both.batches] == ["a", "b"]
    assert [doubt.words for doubt in both.doubts] == ["one", "two"]
    assert not both.repeats


def test_a_bundles_golden_data_stand_for_its_source(dense_bench, right_onnx, tmp_path):
    answers = dense_bench.subject.answers
    golden.save(tmp_path / golden.NAME, golden.Golden(answers.batches, answers.source, answers.truth, {"seed": 7}))
    kept = golden.load(tmp_path / golden.NAME)
    assert [(batch.kind, batch.size) for batch in kept.batches] == [(b.kind, b.size) for b in answers.batches]
    for mine, theirs in ((kept.source, answers.source), (kept.truth, answers.truth)):
        for a, b in zip(mine, theirs, strict=True):
            assert a.keys() == b.keys()
            assert all(np.array_equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)

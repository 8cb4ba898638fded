"""The search for the worst input: what hardly any input shows is found, and right conversions stay right."""

from __future__ import annotations

import numpy as np
import pytest

from exporters.options import ExportOptions
from exporters.sources import source as sources
from tests.verification import liars
from toolkit.errors import BadInput
from toolkit.signature import Signature, TensorSpec
from toolkit.verification import plan, report, verifier, worst_input
from toolkit.verification.plan import Batch
from toolkit.verification.report import Report, Verdict
from toolkit.verification.search import domain, ranges, steady, sweeps, values
from toolkit.verification.search.score import Yardstick
from toolkit.verification.searched import Searched
from toolkit.verification.sides import open_source

SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 4)), TensorSpec("n", "int64", ("batch", "length"))),
    (TensorSpec("y", "float32", ("batch", 2)),),
)


@pytest.fixture(scope="module")
def searched(pool, tmp_path_factory):
    """A model with a fault of planted.py (or without), searched for some seconds: the report's row and the subject."""

    def run(kind: str, fault: str, seconds: float, *, right: bool = False):
        folder = tmp_path_factory.mktemp(fault)
        settings = verifier.Settings(count=96, latency=False, search=seconds)
        opened = [
            sources.resolve(f"tests.verification.planted:{kind}__{name}", search=[str(liars.ROOT)])
            for name in (f"{fault}_right", f"{fault}_right" if right else fault)
        ]
        source, other = open_source(pool, opened[0]), open_source(pool, opened[1])
        subject = verifier.subject_of(pool, source, opened[0], None, settings)
        path = folder / "model.pt"
        params = {"handle": other.handle, "to": "torchscript", "strategy": liars.TRACE, "path": str(path)}
        assert other.worker.call("exporters.tasks:write", {**params, "options": ExportOptions().to_json()})["written"]
        found = verifier.compare_files(pool, subject, [path], settings)
        source.close()
        other.close()
        return found, subject

    return run


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("dense", "corner"), ("dense", "nan_on_line"), ("dense", "batch_of_five"), ("dense", "two_equal")],
)
def test_what_hardly_any_input_shows_is_found(searched, tmp_path, kind, fault):
    found, subject = searched(kind, fault, 20.0)
    row = found.rows[0]
    assert row.verdict is Verdict.FAIL
    assert row.search is not None
    assert row.search.found is not None
    assert f"(search: {row.search.found})" in row.reason
    assert row.search.words in row.notes
    assert report.from_json(found.to_json()).rows[0].search == row.search
    saved = worst_input.save(tmp_path / "worst.npz", subject.signature, subject.answers_for, found)
    with np.load(saved) as arrays:
        assert np.array_equal(arrays["x"], subject.answers_for(row.path, row.device).batches[-1].inputs["x"])


def test_a_right_conversion_stays_right_and_the_report_says_what_was_tried(searched):
    row = searched("dense", "table", 4.0, right=True)[0].rows[0]
    assert row.verdict is Verdict.PASS
    assert row.search.found is None
    assert row.search.inputs > 500
    assert 4.0 <= row.search.seconds < 8.0
    assert "nothing found" in row.search.words


def test_a_bundle_alone_cannot_be_searched_and_says_so():
    words = Searched(5.0, 0.0, 0, not_tried=("golden data cannot answer for more",)).words
    assert words == (
        "searched 0.0 s for a worse input: 0 tried (none), nothing found; "
        "not searched: golden data cannot answer for more"
    )


def _domain():
    return domain.of_plan(SIGNATURE, plan.make(SIGNATURE, None, count=64, seed=1).batches)


def test_sweeps_try_every_size_and_repeat_themselves():
    first = [batch for batches in sweeps.sweeps(_domain(), 3) for batch in batches]
    again = [batch for batches in sweeps.sweeps(_domain(), 3) for batch in batches]
    shapes = {batch.inputs["n"].shape for batch in first}
    assert {size for size, _ in shapes} >= set(range(1, 66))
    assert {length for _, length in shapes} >= set(range(1, 66))
    assert all(
        np.array_equal(a.inputs[name], b.inputs[name])
        for a, b in zip(first, again, strict=True)
        for name in SIGNATURE.input_names
    )


def test_special_values_hold_both_zeros_and_the_neighbours_of_a_graphs_constants():
    found = values.floats([7.25], np.dtype(np.float32), (-3.5, 4.5))
    assert {0.0} == {abs(value) for value in found if value == 0}
    assert len([v for v in found if v == 0]) == 2
    assert {np.float32(7.25), np.nextafter(np.float32(7.25), np.float32(8)), np.float32(-3.5)} <= set(found)


@pytest.mark.parametrize(("limit", "expected"), [(11, 11), (999, 999)])
def test_the_source_is_asked_how_far_integers_go(limit, expected):
    known = _domain()
    ranges.widen(known, lambda row: row["n"].min() >= 0 and row["n"].max() <= limit)
    assert (known.ranges["n"].low, known.ranges["n"].high, known.ranges["n"].open) == (0, expected, False)


class Side:
    """A model that jumps at 0, in the place of a worker's."""

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def run(self, batches):
        return [{"y": np.sign(batch.inputs["x"] + self.shift).astype(np.float32)} for batch in batches]

    def run_float64(self, batches):
        return [{"y": np.sign(batch.inputs["x"].astype(np.float64))} for batch in batches]


@pytest.mark.parametrize(("x", "shift", "counts"), [(1e-9, -2e-9, False), (0.5, -0.6, True)])
def test_a_difference_on_a_jump_of_the_source_is_no_error(x, shift, counts):
    signature = Signature((TensorSpec("x", "float32", ("batch", 2)),), (TensorSpec("y", "float32", ("batch", 2)),))
    batch = Batch("search: boundary", {"x": np.array([[x, 1.0]], np.float32)}, 1)
    source, file = Side(0.0), Side(shift)
    outputs = source.run_float64([batch])[0], source.run([batch])[0], file.run([batch])[0]
    yardstick = Yardstick({"y": 1.0}, {"y": 1e-7})
    assert steady.stands(signature, source, file, batch, outputs, yardstick, 10.0) is counts


def test_seconds_below_zero_are_refused(tmp_path):
    with pytest.raises(BadInput, match="search"):
        verifier.verify("nothing.onnx", [tmp_path / "nothing.onnx"], search=-1.0)


def test_an_empty_report_saves_nothing(tmp_path):
    empty = Report(None, (), None, {})
    assert worst_input.save(tmp_path / "worst.npz", SIGNATURE, lambda *_: None, empty) is None

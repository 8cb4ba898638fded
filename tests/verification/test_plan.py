"""What is tried, and what a user's data may look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import BadInput
from toolkit.signature import Signature, TensorSpec
from toolkit.verification import plan
from toolkit.verification.plan import BATCH_SIZES, MINIMUM

KINDS = {"normal", "uniform", "zeros", "ones", "negative", "large", "tiny", "denormal", "sparse"}


def _signature(*inputs, limits=()):
    return Signature(tuple(TensorSpec(*item) for item in inputs), (), limits=limits)


IMAGE = _signature(("x", "float32", ("batch", 4)))
OTHER = _signature(("x", "float32", ("N", 4)))
FIXED = _signature(("x", "float32", (4, 3)))
TEXT = _signature(("words", "int64", ("batch", "length")), ("mask", "bool", ("batch", "length")))
SCALED = _signature(("x", "float32", ("batch", 4)), ("scale", "float32", (1,)))


def _save(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


@settings(max_examples=60)
@given(st.integers(0, 700), st.integers(0, 5))
def test_about_as_many_inputs_as_asked_for_of_every_kind(count, seed):
    made = plan.make(IMAGE, None, count=count, seed=seed)
    coverage = made.coverage()
    assert set(coverage.kinds) == KINDS | {"repeated row", "permuted rows"}
    assert max(count, MINIMUM) <= coverage.inputs <= max(count, MINIMUM) + 60
    assert coverage.inputs == sum(coverage.kinds.values()) == made.count
    assert set(BATCH_SIZES) <= set(coverage.batch_sizes)
    assert all(len(batch.inputs["x"]) == batch.size for batch in made.batches)


@pytest.mark.parametrize("signature", [IMAGE, OTHER])
def test_the_batch_is_what_stands_first_whatever_its_name(signature):
    coverage = plan.make(signature, None, count=64).coverage()
    assert set(BATCH_SIZES) <= set(coverage.batch_sizes)
    assert "repeated row" in coverage.kinds


def test_equal_seeds_give_equal_inputs():
    first, second, third = (plan.make(IMAGE, None, count=64, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.inputs["x"], b.inputs["x"]) for a, b in zip(first.batches, second.batches, strict=True))
    assert any(
        not np.array_equal(a.inputs["x"], b.inputs["x"]) for a, b in zip(first.batches, third.batches, strict=True)
    )


def test_a_fixed_batch_is_one_input_per_call():
    made = plan.make(FIXED, None, count=512)
    assert made.count == len(made.batches) == MINIMUM
    assert {batch.inputs["x"].shape for batch in made.batches} == {(4, 3)}
    assert made.coverage().batch_sizes == (1,)


def test_every_dynamic_dimension_at_two_sizes():
    made = plan.make(TEXT, None, count=64)
    lengths = {batch.inputs["words"].shape[1] for batch in made.batches}
    assert len(lengths) == 2
    assert all(batch.inputs["words"].shape == batch.inputs["mask"].shape for batch in made.batches)


def test_declared_limits_are_kept():
    signature = _signature(("x", "float32", ("batch", "length")), limits=(("batch", 2), ("length", 6)))
    made = plan.make(signature, None, count=64)
    assert {batch.inputs["x"].shape[0] for batch in made.batches} == {1, 2}
    assert max(batch.inputs["x"].shape[1] for batch in made.batches) == 6
    assert all(batch.size == len(batch.inputs["x"]) for batch in made.batches)
    data = plan.Data({"x": np.zeros((9, 5), np.float32)}, None, 9, frozenset({"x"}))
    assert max(batch.size for batch in plan.make(signature, data, count=64).batches) == 2


def test_dtypes_are_those_of_the_signature():
    made = plan.make(TEXT, None, count=64)
    assert {(batch.inputs["words"].dtype.name, batch.inputs["mask"].dtype.name) for batch in made.batches} == {
        ("int64", "bool")
    }
    assert "'words' other than 0 and 1" in made.not_tried


def test_integers_stay_in_the_datas_range():
    data = plan.Data({"i": np.array([[3], [9], [5]])}, None, 3, frozenset({"i"}))
    made = plan.make(_signature(("i", "int64", ("batch", 1))), data, count=128)
    values = np.concatenate([batch.inputs["i"].ravel() for batch in made.batches])
    assert (values.min(), values.max()) == (3, 9)
    assert "'i' outside the data's range" in made.not_tried


def test_real_rows_come_first_with_their_labels(tmp_path):
    x = np.arange(400, dtype=np.float32).reshape(100, 4)
    data = plan.load_data(_save(tmp_path, x=x, labels=np.arange(100)), IMAGE)
    made = plan.make(IMAGE, data, count=64)
    rows = np.concatenate([batch.inputs["x"] for batch in made.batches if batch.kind == "real"])
    assert made.coverage().real == 32 == len(rows)
    assert np.array_equal(rows[:, 0] / 4, made.labels)
    assert [batch.size for batch in made.batches[:5]] == [1, 2, 3, 7, 19]


def test_data_of_a_fixed_batch_stay_whole(tmp_path):
    data = plan.load_data(_save(tmp_path, x=np.arange(12, dtype=np.float32).reshape(4, 3)), FIXED)
    made = plan.make(FIXED, data)
    assert (data.rows, made.batches[0].size) == (1, 1)
    assert np.array_equal(made.batches[0].inputs["x"], data.arrays["x"])


def test_data_of_inputs_without_batch_belong_to_every_row(tmp_path):
    path = _save(tmp_path, x=np.zeros((40, 4), np.float32), scale=np.full(1, 7, np.float32))
    made = plan.make(SCALED, plan.load_data(path, SCALED))
    assert {batch.inputs["scale"].shape for batch in made.batches} == {(1,)}
    assert made.batches[0].inputs["scale"] == 7


def test_repeated_and_permuted_rows_come_from_one_batch():
    made = plan.make(IMAGE, None, count=64)
    repeated, permuted = made.batches[-2:]
    assert (repeated.size, len(np.unique(repeated.inputs["x"], axis=0))) == (7, 1)
    assert any(np.array_equal(permuted.inputs["x"][::-1], batch.inputs["x"]) for batch in made.batches[:-2])


ROWS = np.ones((5, 4), np.float32)
BAD = {
    "NaN": (
        {"x": np.where(np.arange(5)[:, None] == 3, np.nan, ROWS).astype(np.float32)},
        "'x' holds NaN (first in row 3)",
    ),
    "Inf": ({"x": np.full((5, 4), np.inf, np.float32)}, "'x' holds Inf (first in row 0)"),
    "shape": ({"x": np.ones((5, 3), np.float32)}, "its shape is [5, 3], the model takes [batch, 4]"),
    "dtype": ({"x": np.ones((5, 4))}, "its dtype is float64, the model takes float32"),
    "missing": ({"y": ROWS}, "the model takes the inputs 'x' and was given 'y'"),
    "extra": ({"x": ROWS, "y": ROWS}, "the model takes the inputs 'x' and was given 'x', 'y'"),
    "no rows": ({"x": ROWS[:0]}, "it holds no rows"),
    "labels": ({"x": ROWS, "labels": np.arange(4)}, "'labels' has the shape [4], and there are 5 rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_data_that_cannot_be_used(tmp_path, case):
    arrays, found = BAD[case]
    with pytest.raises(BadInput) as caught:
        plan.load_data(_save(tmp_path, **arrays), IMAGE)
    assert caught.value.found == found


def test_rows_must_be_as_many_everywhere(tmp_path):
    path = _save(tmp_path, words=np.zeros((2, 3), np.int64), mask=np.zeros((4, 3), bool))
    with pytest.raises(BadInput) as caught:
        plan.load_data(path, TEXT)
    assert str(caught.value).startswith(f"BadInput: {path}: its arrays have different numbers of rows: ")


def test_files_that_are_no_data(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        plan.load_data(tmp_path / "none.npz", IMAGE)
    whole = _save(tmp_path, x=ROWS).read_bytes()
    damaged = tmp_path / "damaged.npz"
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:60] + b"\x00\x01" + whole[62:]):
        damaged.write_bytes(content)
        with pytest.raises(BadInput, match=r"it is not an \.npz file that can be read"):
            plan.load_data(damaged, IMAGE)
    np.savez(damaged, x=np.array([{"a": 1}], object))
    with pytest.raises(BadInput, match=r"it is not an \.npz file that can be read"):
        plan.load_data(damaged, IMAGE)

"""The weights of a file in fewer bits are the source's own, rounded; one that is not is found."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.verification.reduced_weights import FileWeight, compare_weights

W = np.random.default_rng(0).standard_normal((16, 8)).astype(np.float32)
HALF = W.astype(np.float16).astype(np.float32)
STEP = np.abs(W).max(1, keepdims=True) / 127
INT8 = (np.round(W / STEP) * STEP).astype(np.float32)


def lens(values, precision="fp16", step=None):
    return compare_weights({"w": W}, [FileWeight("w", values, step)], precision)


@pytest.mark.parametrize("values", [HALF, W, HALF.T.copy()], ids=["rounded", "as it was", "transposed"])
def test_right(values):
    assert lens(values).passed is True


def test_right_in_int8():
    assert lens(INT8, "int8", STEP).passed is True


def changed(values, by):
    wrong = values.copy()
    wrong[3, 2] += by
    return wrong


def test_one_value_off():
    found = lens(changed(HALF, np.spacing(HALF[3, 2].astype(np.float16)).astype(np.float32)))
    assert found.passed is False
    assert found.detail.startswith("'w' differs in 1 of 128 values, by up to ")


def test_one_value_off_by_a_step():
    found = lens(changed(INT8, STEP[3, 0]), "int8", STEP)
    assert found.passed is False
    assert "more than half a step of int8" in found.detail


def test_another_precision_is_not_this_one():
    import ml_dtypes

    assert lens(W.astype(ml_dtypes.bfloat16).astype(np.float32)).passed is False


def test_folded_weights_are_counted_not_judged():
    found = lens(W * 3)
    assert found.passed is None
    assert found.detail == "0 of 1 tensors are the source's, rounded to fp16, the others folded or packed"

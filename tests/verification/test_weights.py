"""Weights are matched whatever their names and layout, and one wrong bit among them is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.verification import weights
from toolkit.verification.weights import Fingerprint

RNG = np.random.default_rng(3)
TENSORS = {
    "kernel": RNG.standard_normal((8, 4, 3, 3)).astype(np.float32),
    "bias": RNG.standard_normal(8).astype(np.float32),
    "gamma": RNG.uniform(0.5, 1.5, 8).astype(np.float32),
}


def _prints(tensors):
    return [Fingerprint(**item) for item in weights.fingerprints(tensors.items())]


def _fetch(tensors):
    return lambda names: {name: tensors[name].reshape(-1) for name in names}


def _lens(export, source=None):
    source = TENSORS if source is None else source
    return weights.lens(_prints(source), _prints(export), _fetch(source), _fetch(export))


def _with(**changed):
    return {**TENSORS, **changed}


def _flipped(array, bit, index=5):
    changed = array.copy()
    changed.reshape(-1).view(np.uint32)[index] ^= np.uint32(1 << bit)
    return changed


SAME = {
    "itself": TENSORS,
    "renamed": {f"{name}:0": array for name, array in TENSORS.items()},
    "transposed": _with(kernel=TENSORS["kernel"].transpose(2, 3, 1, 0)),
    "reshaped": _with(kernel=TENSORS["kernel"].reshape(8, -1)),
    "permuted": _with(kernel=RNG.permutation(TENSORS["kernel"].reshape(-1))),
    "and more": _with(extra=np.ones(3, np.float32)),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_values_are_found(case):
    found = _lens(SAME[case])
    assert (found.passed, found.value, found.detail) == (True, 1.0, "all 3 tensors bit-equal")


@pytest.mark.parametrize("bit", range(32))
def test_one_flipped_bit_is_found(bit):
    found = _lens(_with(kernel=_flipped(TENSORS["kernel"], bit)))
    assert found.passed is False
    assert found.detail.startswith("'kernel' differs in 1 of 288 values, by up to ")


@settings(max_examples=50)
@given(st.integers(0, 287), st.integers(0, 31))
def test_the_hash_knows_every_bit(index, bit):
    kernel = TENSORS["kernel"]
    assert _prints({"a": kernel})[0].hash != _prints({"a": _flipped(kernel, bit, index)})[0].hash


NOT_JUDGED = {
    "folded": ({"kernel": TENSORS["kernel"] * 1.5, "bias": TENSORS["bias"] + 2}, "0 of 3 tensors bit-equal"),
    "fp16": (
        _with(kernel=TENSORS["kernel"].astype(np.float16).astype(np.float32)),
        "'kernel' differs in 288 of 288 values",
    ),
    "packed": ({"all": np.concatenate([a.reshape(-1) for a in TENSORS.values()])}, "0 of 3 tensors bit-equal"),
    "dropped": ({"kernel": TENSORS["kernel"]}, "1 of 3 tensors bit-equal, the others folded or packed"),
}


@pytest.mark.parametrize("case", NOT_JUDGED)
def test_what_folding_or_rounding_explains_is_left_to_the_outputs(case):
    export, detail = NOT_JUDGED[case]
    found = _lens(export)
    assert found.passed is None
    assert detail in found.detail


def test_a_few_wrong_values_are_found_beside_rounded_tensors():
    rounded = {name: array.astype(np.float16).astype(np.float32) for name, array in TENSORS.items()}
    found = _lens({**rounded, "kernel": _flipped(TENSORS["kernel"], 0)})
    assert found.passed is False


def test_zero_and_minus_zero_are_different_bits():
    zeros = {"a": np.zeros(4, np.float32)}
    found = _lens({"a": -zeros["a"]}, zeros)
    assert found.passed is not True


def test_nothing_to_compare():
    assert _lens(TENSORS, {}).detail == "the source has no float tensors"
    assert _lens({}).detail == "0 of 3 tensors bit-equal, the others folded or packed"


def test_no_more_is_fetched_than_the_limit(monkeypatch):
    monkeypatch.setattr(weights, "_MOST", 20)
    asked = []

    def fetch(names):
        asked.extend(names)
        return _fetch(TENSORS)(names)

    changed = {name: _flipped(array, 0) for name, array in TENSORS.items()}
    weights.lens(_prints(TENSORS), _prints(changed), fetch, _fetch(changed))
    assert sorted(asked) == ["bias", "gamma"]

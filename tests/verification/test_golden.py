"""golden.safetensors: what is written comes back, and what is damaged is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from toolkit.errors import BadInput
from toolkit.verification import golden
from toolkit.verification.golden import Golden
from toolkit.verification.plan import Batch


def _golden(count=3, rows=2, **named):
    batches = tuple(Batch(f"kind {i}", {"x": np.full((rows, 4), i, np.float32), **named}, rows) for i in range(count))
    source = [{"y": batch.inputs["x"] + 1, "label": np.arange(rows)} for batch in batches]
    truth = [{"y": outputs["y"].astype(np.float64), "label": outputs["label"]} for outputs in source]
    return Golden(batches, source, truth, {"seed": 7, "accuracy": None})


def test_what_is_saved_comes_back(tmp_path):
    saved = _golden(mask=np.array([True, False]), words=np.array([1, 2], np.int64), scale=np.array(2.0))
    golden.save(tmp_path / golden.NAME, saved)
    loaded = golden.load(tmp_path / golden.NAME)
    assert loaded.description == saved.description
    assert [(batch.kind, batch.size) for batch in loaded.batches] == [(f"kind {i}", 2) for i in range(3)]
    for side in ("source", "truth"):
        for ours, theirs in zip(getattr(saved, side), getattr(loaded, side), strict=True):
            assert {name: array.dtype for name, array in ours.items()} == {n: a.dtype for n, a in theirs.items()}
            assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert np.array_equal(loaded.batches[1].inputs["words"], [1, 2])
    assert loaded.batches[1].inputs["scale"].shape == ()


def test_it_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(golden, "_LARGEST", 400)
    golden.save(tmp_path / golden.NAME, _golden(count=50))
    assert 1 <= len(golden.load(tmp_path / golden.NAME).batches) < 5


def test_a_first_batch_that_is_too_large_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(golden, "_LARGEST", 1)
    golden.save(tmp_path / golden.NAME, _golden())
    assert len(golden.load(tmp_path / golden.NAME).batches) == 1


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 64])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / golden.NAME
    path.write_bytes(content)
    with pytest.raises(BadInput, match="it cannot be read") as caught:
        golden.load(path)
    assert caught.value.where == str(path)
    with pytest.raises(BadInput, match="it cannot be read"):
        golden.load(tmp_path / "none")


NOTES = {
    "nothing": None,
    "no batches": {"description": "{}"},
    "empty": {"batches": "[]", "description": "{}"},
    "no JSON": {"batches": "[", "description": "{}"},
    "another kind": {"batches": json.dumps([{"size": 1}]), "description": "{}"},
}


@pytest.mark.parametrize("case", NOTES)
def test_tensors_without_their_notes_are_named(tmp_path, case):
    path = tmp_path / golden.NAME
    golden.save(path, _golden())
    save_file(load_file(path), path, metadata=NOTES[case])
    with pytest.raises(BadInput, match="it does not say what is in it"):
        golden.load(path)

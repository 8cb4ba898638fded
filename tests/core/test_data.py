"""Contract, artifact, metadata: to JSON and back, and what damaged or newer ones are called."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import artifact, metadata
from toolkit.artifact import Artifact
from toolkit.contract import Contract, Preprocessing
from toolkit.errors import BadInput
from toolkit.signature import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 4)),), (TensorSpec("y", "float32", ("batch", 3)),))
CONTRACT = Contract(
    Preprocessing("x", "RGB", (2, 3), "bicubic", 127.5, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3), "CHW", (3, 2, 3)),
    ("cat", "dog\n\x1b[31m", "☃"),
    "y",
    "softmax",
    {"flip": True, "rotate": 0.1},
)

numbers = st.floats(allow_nan=False, allow_infinity=False)
preprocessings = st.builds(
    Preprocessing,
    input=st.text(),
    mode=st.sampled_from(["L", "RGB"]),
    size=st.tuples(st.integers(1), st.integers(1)),
    scale=numbers,
    mean=st.lists(numbers).map(tuple),
    std=st.lists(numbers).map(tuple),
    layout=st.sampled_from(["HW", "HWC", "CHW"]),
    shape=st.lists(st.integers(1)).map(tuple),
)
contracts = st.builds(
    Contract,
    preprocessing=st.none() | preprocessings,
    labels=st.lists(st.text()).map(tuple),
    scores=st.none() | st.text(),
    activation=st.none() | st.sampled_from(["logits", "sigmoid", "softmax"]),
    augmentation=st.dictionaries(st.text(), numbers | st.booleans()),
)


@given(contracts)
def test_contract_to_json_and_back(contract):
    assert Contract.from_json(json.loads(json.dumps(contract.to_json(), allow_nan=False))) == contract


@given(contracts)
def test_metadata_to_text_and_back(contract):
    text = metadata.dumps(SIGNATURE, contract)
    assert metadata.loads(text) == (SIGNATURE, contract)
    assert metadata.loads(text.encode()) == (SIGNATURE, contract)


GOOD = json.loads(metadata.dumps(SIGNATURE, CONTRACT))


@pytest.mark.parametrize(
    "text",
    [
        None, "", b"", "null", "{}", "[]", "7", '"text"', "{", b"\xff\xfe", "[" * 100_000,
        json.dumps({**GOOD, "schema": 2}),
        json.dumps({**GOOD, "schema": "one"}),
        json.dumps({**GOOD, "signature": None}),
        json.dumps({**GOOD, "signature": []}),
        json.dumps({**GOOD, "contract": "text"}),
        json.dumps({**GOOD, "contract": {"preprocessing": {"unknown": 1}}}),
        json.dumps({**GOOD, "signature": {"inputs": [{"name": "x", "dtype": "odd", "shape": []}], "outputs": []}}),
        json.dumps({**GOOD, "signature": {**GOOD["signature"], "inputs": 2 * GOOD["signature"]["inputs"]}}),
    ],
)  # fmt: skip
def test_metadata_that_says_nothing_we_can_read(text):
    assert metadata.loads(text) is None


def test_artifact_to_disk_and_back(tmp_path):
    made = Artifact(
        tmp_path, "torch", SIGNATURE, CONTRACT, "models:build", {"weights": "weights.pt"}, {"accuracy": 0.97}
    )
    assert made.save() == tmp_path / "artifact.json"
    assert artifact.load(tmp_path) == made
    assert made.file("weights") == tmp_path / "weights.pt"


DAMAGED = {
    "": "JSONDecodeError('Expecting value: line 1 column 1 (char 0)')",
    "{": "JSONDecodeError('Expecting property name enclosed in double quotes: line 1 column 2 (char 1)')",
    "{}": "KeyError('schema')",
    "[]": "TypeError('list indices must be integers or slices, not str')",
    '{"schema": 1}': "KeyError('format')",
    '{"schema": 1, "format": "torch", "signature": {"inputs": [], "outputs": []}, "contract": null}': (
        "AttributeError(\"'NoneType' object has no attribute 'get'\")"
    ),
}


@pytest.mark.parametrize(("text", "what"), DAMAGED.items())
def test_a_damaged_artifact(tmp_path, text, what):
    sidecar = tmp_path / "artifact.json"
    sidecar.write_text(text)
    with pytest.raises(BadInput) as caught:
        artifact.load(tmp_path)
    assert str(caught.value) == f"BadInput: {sidecar}: the file is damaged ({what})\n  Train again."


def test_an_artifact_of_a_newer_toolkit(tmp_path):
    (tmp_path / "artifact.json").write_text('{"schema": 2}')
    with pytest.raises(BadInput) as caught:
        artifact.load(tmp_path)
    assert str(caught.value) == (
        f"BadInput: {tmp_path / 'artifact.json'}: it was written by a newer toolkit (schema 2; this one reads 1)\n"
        "  Upgrade the toolkit."
    )


def test_a_folder_without_an_artifact(tmp_path):
    with pytest.raises(BadInput) as caught:
        artifact.load(tmp_path)
    assert str(caught.value) == f"BadInput: {tmp_path}: the folder holds no artifact.json"

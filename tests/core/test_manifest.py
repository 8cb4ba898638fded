"""manifest.json: any file that is not as it was exported is noticed before a runtime opens it."""

from __future__ import annotations

import json
import os
import random
import shutil

import pytest

from toolkit import manifest
from toolkit.contract import Contract
from toolkit.errors import BadInput
from toolkit.manifest import Manifest
from toolkit.signature import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 4)),), (TensorSpec("y", "float32", ("batch", 3)),))
FORMATS = {"onnx": "model.onnx", "savedmodel": "saved_model"}
CONTENT = {
    "model.onnx": b"\x08\x0a onnx" + bytes(range(256)),
    "golden.safetensors": b"golden",
    "saved_model/saved_model.pb": b"graph",
    "saved_model/variables/variables.index": b"index",
    "saved_model/variables/variables.data-00000-of-00001": bytes(512),
    "empty": b"",
    "ünïcode name ☃": b"odd",
}
HINT = "\n  Copy or export the bundle again."


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    made = Manifest(SIGNATURE, Contract(), FORMATS, manifest.list_files(folder), created=manifest.timestamp())
    made.save(folder)
    return folder


def refusal(folder):
    with pytest.raises(BadInput) as caught:
        manifest.check(folder)
    return str(caught.value)


def test_to_disk_and_back(bundle):
    found = manifest.check(bundle)
    assert set(found.files) == set(CONTENT)
    assert found.formats == FORMATS
    assert found.signature == SIGNATURE
    assert found == manifest.load(bundle)


def test_a_moved_bundle_is_still_whole(bundle, tmp_path):
    assert manifest.check(shutil.move(bundle, tmp_path / "elsewhere"))


def test_changed(bundle):
    (bundle / "model.onnx").write_bytes(CONTENT["model.onnx"][::-1])
    assert refusal(bundle) == (
        f"BadInput: {bundle}/model.onnx: the file was changed since the export (SHA-256 differs){HINT}"
    )


@pytest.mark.parametrize("size", [0, 1, 131, 262, 264, 600])
def test_of_another_size(bundle, size):
    (bundle / "model.onnx").write_bytes(CONTENT["model.onnx"].ljust(600, b"\0")[:size])
    assert refusal(bundle) == (
        f"BadInput: {bundle}/model.onnx: the file has {size} bytes where the export had 263{HINT}"
    )


@pytest.mark.parametrize("name", CONTENT)
def test_missing(bundle, name):
    (bundle / name).unlink()
    assert refusal(bundle) == f"BadInput: {bundle / name}: the file is missing{HINT}"


@pytest.mark.parametrize("name", ["model.onnx.data", "saved_model/assets/vocabulary.txt", ".hidden"])
def test_extra(bundle, name):
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).touch()
    assert refusal(bundle) == f"BadInput: {bundle / name}: the file is not in the manifest{HINT}"


def test_swapped(bundle):
    one, other = bundle / "saved_model/saved_model.pb", bundle / "saved_model/variables/variables.index"
    swapped = one.read_bytes(), other.read_bytes()
    one.write_bytes(swapped[1])
    other.write_bytes(swapped[0])
    assert "was changed since the export (SHA-256 differs)" in refusal(bundle)


def test_a_file_that_became_a_folder(bundle):
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").mkdir()
    assert refusal(bundle) == f"BadInput: {bundle}/model.onnx: the file is missing{HINT}"


@pytest.mark.parametrize("target", ["golden.safetensors", "/etc/passwd", "nowhere"])
def test_a_link_is_refused(bundle, target):
    (bundle / "empty").unlink()
    (bundle / "empty").symlink_to(target)
    assert refusal(bundle) == (
        f"BadInput: {bundle}/empty: a link inside an artefact\n  Replace it by the file it points to."
    )


def test_every_flipped_bit_is_caught(bundle):
    generator = random.Random(7)
    names = [name for name, content in CONTENT.items() if content]
    for _ in range(200):
        name = generator.choice(names)
        content = bytearray(CONTENT[name])
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        (bundle / name).write_bytes(content)
        assert "SHA-256 differs" in refusal(bundle)
        (bundle / name).write_bytes(CONTENT[name])
    manifest.check(bundle)


def edited(bundle, **changes):
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("path", ["../outside.onnx", "/etc/passwd", "model.onnx/", "absent", "", "."])
def test_a_format_outside_of_the_bundle(bundle, path):
    edited(bundle, formats={"onnx": path})
    assert refusal(bundle) == (
        f"BadInput: {bundle}/manifest.json: the file is damaged ('{path}' is none of the files that it lists)"
        "\n  Export the model again."
    )


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"files": []}, "AttributeError(\"'list' object has no attribute 'items'\")"),
        ({"files": {"model.onnx": {"size": 1}}}, "KeyError('sha256')"),
        ({"files": {"model.onnx": None}}, "TypeError(\"'NoneType' object is not subscriptable\")"),
        ({"contract": None}, "AttributeError(\"'NoneType' object has no attribute 'get'\")"),
        ({"schema": "1"}, "TypeError(\"'<=' not supported between instances of 'str' and 'int'\")"),
        ({"signature": {}}, "KeyError('inputs')"),
        ({"signature": {"inputs": [{"name": "x", "dtype": "odd", "shape": []}], "outputs": []}},
         "dtype 'odd' is not known"),
    ],
)  # fmt: skip
def test_damaged(bundle, changes, what):
    edited(bundle, **changes)
    assert refusal(bundle) == (
        f"BadInput: {bundle}/manifest.json: the file is damaged ({what})\n  Export the model again."
    )


@pytest.mark.parametrize("size", [0, 1, 100, 700])
def test_truncated(bundle, size):
    path = bundle / "manifest.json"
    path.write_bytes(path.read_bytes()[:size])
    assert refusal(bundle).startswith(f"BadInput: {path}: the file is damaged (JSONDecodeError(")


def test_newer(bundle):
    edited(bundle, schema=2)
    assert refusal(bundle) == (
        f"BadInput: {bundle}/manifest.json: it was written by a newer toolkit (schema 2; this one reads 1)"
        "\n  Upgrade the toolkit."
    )


def test_no_manifest(bundle):
    (bundle / "manifest.json").unlink()
    assert refusal(bundle) == f"BadInput: {bundle}: the folder holds no manifest.json\n  Export the model again."


@pytest.mark.parametrize(
    ("epoch", "text"),
    [("0", "1970-01-01T00:00:00Z"), ("1700000000", "2023-11-14T22:13:20Z"), ("-1", "1969-12-31T23:59:59Z")],
)
def test_source_date_epoch(monkeypatch, epoch, text):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert manifest.timestamp() == text


def test_without_source_date_epoch_it_is_now(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    monkeypatch.setattr(manifest.time, "time", lambda: 86400.9)
    assert manifest.timestamp() == "1970-01-02T00:00:00Z"


@pytest.mark.parametrize("epoch", ["tomorrow", "1e9", "99999999999999999999"])
def test_source_date_epoch_that_is_no_time(monkeypatch, epoch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(BadInput) as caught:
        manifest.timestamp()
    assert str(caught.value) == (
        f"BadInput: SOURCE_DATE_EPOCH: '{epoch}' is not a number of seconds\n  Unset it, or give Unix time."
    )


def test_the_text_is_the_same_for_the_same_content(bundle, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    first = Manifest(SIGNATURE, Contract(), FORMATS, manifest.list_files(bundle), created=manifest.timestamp())
    first.save(bundle)
    text = (bundle / "manifest.json").read_bytes()
    os.utime(bundle / "model.onnx", (1, 1))
    Manifest(SIGNATURE, Contract(), FORMATS, manifest.list_files(bundle), created=manifest.timestamp()).save(bundle)
    assert (bundle / "manifest.json").read_bytes() == text

"""Formats are told apart by content, and what is none of them is described."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from toolkit import formats
from toolkit.errors import BadInput, UnknownFormat


def archive(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"x")
    return buffer.getvalue()


HDF5 = b"\x89HDF\r\n\x1a\n"


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("model.onnx", b"anything", "onnx"),
        ("model", b"\x08\x0a\x12\x07", "onnx"),
        ("model.pt", archive("model/constants.pkl", "model/code/x.py"), "torchscript"),
        ("model.zip", archive("constants.pkl"), "torchscript"),
        ("model.h5", HDF5, "hdf5"),
        ("model.anything", HDF5, "hdf5"),
        ("model.keras", archive("metadata.json", "config.json", "model.weights.h5"), "keras"),
        ("model.anything", b"\x1c\x00\x00\x00TFL3", "tflite"),
        ("folder/saved_model.pb", b"x", "savedmodel"),
        ("folder/saved_model.pbtxt", b"x", "savedmodel"),
    ],
)
def test_recognised(tmp_path, name, content, form):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert formats.of_path(path if path.parent == tmp_path else path.parent).name == form


LIST = "onnx, torchscript, savedmodel, hdf5, keras, tflite"


@pytest.mark.parametrize(
    ("name", "content", "found", "hint"),
    [
        ("a.txt", b"hello world", "a file that begins with b'hello wo'", "`toolkit formats` lists what can be opened."),
        ("a.pt", b"PK\x03\x04trunc", r"a file that begins with b'PK\x03\x04trun'",
         "Going by its name it should be torchscript: it is truncated or damaged; export or copy it again."),
        ("a.h5", b"\x89HD", r"a file that begins with b'\x89HD'",
         "Going by its name it should be hdf5: it is truncated or damaged; export or copy it again."),
        ("a.weights.h5", HDF5, r"a file that begins with b'\x89HDF\r\n\x1a\n'",
         "Going by its name it should be hdf5: it is truncated or damaged; export or copy it again."),
        ("model.zip", archive("data.pkl"), r"a file that begins with b'PK\x03\x04\x14\x00\x00\x00'",
         "`toolkit formats` lists what can be opened."),
    ],
)  # fmt: skip
def test_not_recognised(tmp_path, name, content, found, hint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnknownFormat) as caught:
        formats.of_path(tmp_path / name)
    assert str(caught.value) == f"UnknownFormat: {tmp_path / name}: {found} is none of the formats {LIST}\n  {hint}"


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(UnknownFormat) as caught:
        formats.of_path(tmp_path)
    assert str(caught.value) == (
        f"UnknownFormat: {tmp_path}: a folder without saved_model.pb is none of the formats {LIST}\n"
        "  `toolkit formats` lists what can be opened."
    )


def unreadable(tmp_path, what):
    path = tmp_path / "it"
    match what:
        case "empty":
            path.touch()
        case "link":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to("it")
        case "pipe":
            os.mkfifo(path)
        case "below a file":
            path.write_text("x")
            path = path / "below"
        case "long":
            path = tmp_path / ("x" * 300)
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", "no such file or folder\n  Check the path."),
        ("below a file", "no such file or folder\n  Check the path."),
        ("link", "a link to a file that does not exist\n  Check the path."),
        ("loop", "it cannot be read (Too many levels of symbolic links)\n  Check the path."),
        ("long", "it cannot be read (File name too long)\n  Check the path."),
        ("pipe", "it is neither a file nor a folder\n  Check the path."),
        ("empty", "the file is empty (0 bytes)\n  Export or copy it again."),
    ],
)
def test_what_cannot_be_read(tmp_path, what, message):
    path = unreadable(tmp_path, what)
    with pytest.raises(BadInput) as caught:
        formats.of_path(path)
    assert str(caught.value) == f"BadInput: {path}: {message}"


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_text("x")
    monkeypatch.setattr(formats.os, "access", lambda *_: False)
    with pytest.raises(BadInput) as caught:
        formats.of_path(path)
    assert str(caught.value) == (f"BadInput: {path}: it cannot be read (Permission denied)\n  Check its permissions.")


def test_names():
    assert list(formats.FORMATS) == ["onnx", "torchscript", "savedmodel", "hdf5", "keras", "tflite"]
    with pytest.raises(UnknownFormat) as caught:
        formats.by_name("coreml")
    assert str(caught.value) == f"UnknownFormat: --to: 'coreml' is not a format\n  Choose from {LIST} or all."
    with pytest.raises(UnknownFormat) as caught:
        formats.by_name("coreml", "--format")
    assert str(caught.value) == f"UnknownFormat: --format: 'coreml' is not a format\n  Choose from {LIST}."


@pytest.mark.parametrize(
    ("to", "names"),
    [
        ("all", ("onnx", "torchscript", "savedmodel", "hdf5")),
        ("keras", ("keras",)),
        ("onnx,torchscript", ("onnx", "torchscript")),
        (["hdf5, onnx", "keras"], ("hdf5", "onnx", "keras")),
        (["tflite", "all", "onnx", "tflite"], ("onnx", "torchscript", "savedmodel", "hdf5", "tflite")),
    ],
)
def test_what_is_asked_for(to, names):
    assert formats.asked_for(to) == names


@pytest.mark.parametrize("form", formats.FORMATS.values(), ids=list(formats.FORMATS))
def test_a_format_names_modules_that_exist(form):
    root = Path(formats.__file__).parents[1]
    assert (root / (form.exporter.replace(".", "/") + ".py")).is_file()
    assert (root / (form.runner.partition(":")[0].replace(".", "/") + ".py")).is_file()

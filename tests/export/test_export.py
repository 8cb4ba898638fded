"""Every kind of source to every format: verified, named as the source names, and described inside of each file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import COUNT
from toolkit import bundle, files, manifest, metadata, writer
from toolkit.errors import DiskFull, ExportFailed, Inconclusive, VerdictFailed, WorkerCrashed

ALL = ("onnx", "torchscript", "savedmodel", "hdf5")
FORMATS = (*ALL, "keras", "tflite")
QUICK = {"count": COUNT, "latency": False}
pytestmark = pytest.mark.usefixtures("warm")

# Source -> what its inputs and outputs are called, with their shapes.
NAMED = {
    "torch": (["x:float32[batch,4]"], ["output:float32[batch,3]"]),
    "keras": (["x:float32[batch,4]"], ["scores:float32[batch,3]"]),
    "tensorflow": (["x:float32[batch,4]"], ["scores:float32[batch,3]"]),
    "several": (
        ["tokens:int64[batch,time]", "scale:float32[batch,time]"],
        ["each:float32[batch,time,3]", "both.0:float32[batch,5]", "both.1:int64[batch]"],
    ),
}


@pytest.mark.parametrize("model", NAMED)
def test_all_formats(exports, model):
    export = exports[model]
    found = manifest.check(export.folder)
    assert list(found.formats) == list(FORMATS)
    assert found.verification["counts"] == {"PASS": 6}
    assert ([str(spec) for spec in found.signature.inputs], [str(spec) for spec in found.signature.outputs]) == NAMED[
        model
    ]
    rows = json.loads((export.folder / "report.json").read_text())["rows"]
    assert [row["verdict"] for row in rows] == ["PASS"] * 6
    assert all(output["count"] >= COUNT for row in rows for output in row["outputs"])


def inside(form, path):
    """The metadata that a file carries, read as a stranger would."""
    if form == "onnx":
        import onnx

        return {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}["toolkit"]
    if form == "torchscript":
        with zipfile.ZipFile(path) as archive:
            return archive.read(next(name for name in archive.namelist() if name.endswith("extra/toolkit.json")))
    if form in ("keras", "tflite"):
        with zipfile.ZipFile(path) as archive:
            return archive.read("toolkit.json")
    if form == "savedmodel":
        return (path / "assets.extra/toolkit.json").read_text()
    import h5py

    with h5py.File(path) as file:
        return file.attrs["toolkit"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("model", ["torch", "keras", "several"])
def test_every_file_describes_itself(exports, model, form):
    export = exports[model]
    signature, _ = metadata.loads(inside(form, export.file(form)))
    listed = manifest.load(export.folder).signature
    assert (signature.inputs, signature.outputs) == (listed.inputs, listed.outputs)


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "tflite"])
def test_an_exported_file_as_the_source(exports, tmp_path, form):
    made = bundle.export(exports["keras"].file(form), output=tmp_path / "out", **QUICK)
    assert made.report.passed
    assert list(made.manifest.formats) == list(ALL)
    assert made.manifest.signature.input_names == ("x",)


SAVE = {
    "torch": """
import torch, safetensors.torch, zoo_torch
model, _ = zoo_torch.build()
torch.save(model.state_dict(), folder + "/weights.pt")
torch.save({"state_dict": model.state_dict(), "epoch": 3}, folder + "/checkpoint.pth")
safetensors.torch.save_file(model.state_dict(), folder + "/weights.safetensors")
""",
    "keras": """
import zoo_keras
model = zoo_keras.build()
model.save(folder + "/model.keras")
model.save(folder + "/model.h5")
model.save_weights(folder + "/model.weights.h5")
""",
}


@pytest.fixture(scope="module")
def saved(models, tmp_path_factory):
    """The files that people have, written by the frameworks themselves."""
    folder = tmp_path_factory.mktemp("saved")
    for text in SAVE.values():
        script = f"import sys; sys.path.insert(0, {str(models)!r}); folder = {str(folder)!r}\n{text}"
        subprocess.run([sys.executable, "-B", "-W", "ignore", "-c", script], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    ("name", "factory"),
    [
        ("weights.pt", "zoo_torch:build"),
        ("checkpoint.pth", "zoo_torch:build"),
        ("weights.safetensors", "zoo_torch:build"),
        ("model.keras", None),
        ("model.h5", None),
        ("model.weights.h5", "zoo_keras:build"),
    ],
)
def test_files_that_people_have(saved, in_models, tmp_path, name, factory):
    made = bundle.export(saved / name, ["onnx", "torchscript"], tmp_path / "out", factory=factory, **QUICK)
    assert made.report.passed


def test_a_subclassed_keras_model(in_models, tmp_path):
    made = bundle.export(
        "zoo_subclassed:build", ["savedmodel", "hdf5"], tmp_path / "out", ["x:float32[batch,4]"], **QUICK
    )
    assert made.report.passed
    assert made.routes["hdf5"].endswith("then onnx_to_keras")


@pytest.mark.parametrize("build", ["recurrent", "operations", "masked"])
def test_a_keras_model_of_built_in_parts_is_written_as_it_is(in_models, tmp_path, build):
    made = bundle.export(f"zoo_builtin:{build}", ["hdf5", "torchscript"], tmp_path / "out", **QUICK)
    assert made.report.passed
    assert made.routes["hdf5"] == "keras"
    assert made.report.rows[0].outputs[0].identical


def test_a_model_in_training_mode_is_noticed(in_models, tmp_path):
    made = bundle.export("zoo_torch:build", "torchscript", tmp_path / "out", **QUICK)
    assert "the model was in training mode; it was exported in evaluation mode" in made.notes


def test_a_model_that_cannot_be_scripted_is_traced_or_refused(in_models, tmp_path):
    with pytest.raises(ExportFailed) as caught:
        bundle.export("zoo_baked:build", "torchscript", tmp_path / "out", **QUICK)
    text = str(caught.value)
    assert text.startswith("ExportFailed: torch 2.")
    for part in ("no way leads to torchscript (torch.jit.script: ", "; torch.jit.trace: output 'output' at batch ",
                 "; through ONNX: no way leads to onnx (", "\n  Nothing was written."):  # fmt: skip
        assert part in text
    assert list(tmp_path.iterdir()) == []


def test_a_random_model_is_not_exported(in_models, tmp_path):
    with pytest.raises(Inconclusive):
        bundle.export("zoo_random:build", "onnx", tmp_path / "out", **QUICK)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def old(exports, tmp_path):
    """A bundle that stands at the destination already."""
    return shutil.copytree(exports["keras"].folder, tmp_path / "out")


def failing(monkeypatch, pool, step):
    """Let the export go wrong after everything is written."""
    match step:
        case "verdict":
            write = writer.Writer._write

            def other(self, name):
                route = write(self, name)
                path = self._folder / "model.onnx"
                path.write_bytes(failing.wrong.read_bytes())
                return route

            monkeypatch.setattr(writer.Writer, "_write", other)
            return VerdictFailed
        case "disk":
            monkeypatch.setattr(files, "free_space", lambda _: 1000)
            return DiskFull
        case "crash":

            def crash(*_, **__):
                raise WorkerCrashed("torch crashed: SIGSEGV (write onnx)")

            monkeypatch.setattr(writer.Writer, "_native", crash)
            return WorkerCrashed
        case "interrupt":

            def interrupt(*_, **__):
                raise KeyboardInterrupt

            monkeypatch.setattr(bundle, "_complete", interrupt)
            return KeyboardInterrupt


@pytest.mark.parametrize("step", ["verdict", "disk", "crash", "interrupt"])
@pytest.mark.parametrize("before", ["nothing", "old"])
def test_a_failing_export_leaves_what_was_there(exports, in_models, pool, tmp_path, monkeypatch, request, step, before):
    if before == "old":
        request.getfixturevalue("old")
    failing.wrong = exports["keras"].file("onnx")
    kind = failing(monkeypatch, pool, step)
    with pytest.raises(kind) as caught:
        bundle.export("zoo_torch:build", "onnx", tmp_path / "out", **QUICK)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if before == "old" else [])
    if before == "old":
        assert list(manifest.check(tmp_path / "out").formats) == list(FORMATS)
    if step == "verdict":
        assert caught.value.exit_code == 1
        assert str(caught.value).startswith("VerdictFailed: onnx on cpu: FAIL: ")
    if step == "disk":
        assert str(caught.value) == (
            f"DiskFull: {tmp_path / 'out'}: the export needs about 2.0 MB and 1.0 kB are free\n"
            "  Free some space or choose another folder; nothing was written."
        )


def test_a_bundle_replaces_a_bundle(in_models, old):
    made = bundle.export("zoo_torch:build", "onnx", old, **QUICK)
    assert list(manifest.check(old).formats) == ["onnx"]
    assert not (old / "model.h5").exists()
    assert made.file("onnx") == old / "model.onnx"


@pytest.mark.parametrize("form", FORMATS)
def test_a_disk_that_runs_full_while_a_format_is_written(in_models, tmp_path, monkeypatch, form):
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {done.stderr.strip()}")
    try:
        monkeypatch.setattr(bundle, "_require_space", lambda *_: None)
        with pytest.raises(DiskFull) as caught:
            bundle.export("zoo_torch:build", form, place / "out", **QUICK)
        assert str(caught.value).startswith(f"DiskFull: {place / 'out'}: the disk is full (")
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_the_same_again_gives_the_same_manifest(in_models, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    texts = []
    for name in ("one", "two"):
        bundle.export("zoo_torch:build", ["onnx", "torchscript"], tmp_path / name, **QUICK)
        data = json.loads((tmp_path / name / "manifest.json").read_text())
        for measured in (
            "report.json",
            "report.html",
            "certificate.json",
        ):  # seconds and load; the last binds the others
            data["files"].pop(measured)
        texts.append(data)
    assert texts[0] == texts[1]

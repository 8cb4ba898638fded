"""Every kind of source: recognised without being run, opened by what wrote it, exported and verified."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from exporters.sources import keras2_file, kinds
from exporters.sources import source as sources
from tests.conftest import COUNT
from toolkit import bundle, manifest
from toolkit.errors import BadInput, RuntimeMissing, ToolkitError, UnsafeFile
from toolkit.files import digest
from toolkit.inspection import inspect
from toolkit.verification import verifier

MAKERS = Path(__file__).parents[2] / "benchmarks" / "matrix_sources"
QUICK = {"count": COUNT, "latency": False}
IMAGE = ["image:float32[batch,3,16,16]"]
NET = {"factory": "torch_sources:build", "inputs": IMAGE}


def made(folder, *scripts):
    settings = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    code = "import sys, pathlib, importlib\nfor name in sys.argv[2:]:\n"
    code += "    importlib.import_module(name).save(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(folder), *scripts]
    environment = {**os.environ, **settings, "PYTHONPATH": str(MAKERS), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return folder


@pytest.fixture(scope="module")
def of_torch(tmp_path_factory):
    return made(tmp_path_factory.mktemp("torch"), "torch_sources")


@pytest.fixture(scope="module")
def of_tensorflow(tmp_path_factory):
    return made(tmp_path_factory.mktemp("tensorflow"), "keras_sources", "tensorflow_sources")


@pytest.fixture(autouse=True)
def in_makers(monkeypatch):
    """The user's working directory, where factories are looked for."""
    monkeypatch.chdir(MAKERS)


# File -> how it is asked for, and what the user is told beside the verdict.
TORCH = {
    "legacy.pth": (NET, ()),
    "lightning.ckpt": (NET, ("the weights were taken from 'state_dict' 'model.*' of the checkpoint",)),
    "ddp.pth": (NET, ("the weights were taken from 'model' 'module.*' of the checkpoint",)),
    "weights.safetensors": (NET, ()),
    "pickled.pt": ({"inputs": IMAGE}, ("the model was in training mode; it was exported in evaluation mode",)),
    "scripted.pt": ({"inputs": IMAGE}, ()),
    "traced.pt": ({"inputs": IMAGE}, ()),
    "exported.pt2": ({}, ()),
}


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("name", TORCH)
def test_files_of_pytorch(of_torch, tmp_path, name):
    asked, notes = TORCH[name]
    done = bundle.export(
        of_torch / name, "torchscript", tmp_path / "out", **asked, trust=[digest(of_torch / name)], **QUICK
    )
    assert done.report.passed
    assert [str(spec) for spec in done.manifest.signature.inputs] == IMAGE
    assert done.notes[: len(notes)] == notes


TENSORFLOW = {
    "configured.keras": {"factory": "keras_sources:configured", "inputs": ["x:float32[batch,4]"]},
    "functional.weights.h5": {"factory": "keras_sources:functional"},
    "configured.weights.h5": {"factory": "keras_sources:configured", "inputs": ["x:float32[batch,4]"]},
    "compiled.h5": {},
    "tf1": {},
    "two_signatures": {"signature": "embed"},
    "no_signatures": {"signature": "embed"},
    "written": {"factory": "tensorflow_sources:build"},
    "checkpoint": {"factory": "tensorflow_sources:build"},
}


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("name", TENSORFLOW)
def test_files_of_tensorflow(of_tensorflow, tmp_path, name):
    done = bundle.export(of_tensorflow / name, "savedmodel", tmp_path / "out", **TENSORFLOW[name], **QUICK)
    assert done.report.passed


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("factory", "inputs", "form"),
    [
        ("torch_sources:answers", ["x:float32[batch,4]"], "torchscript"),
        ("torch_sources:nested", [], "onnx"),
        ("torch_sources:masked", ["ids:int64[batch,sequence]", "scale:float32[1]"], "torchscript"),
        ("torch_sources:scalars", ["x:float32[4]", "temperature:float32[]"], "onnx"),
        ("torch_sources:bfloat16", ["x:bfloat16[batch,4]"], "torchscript"),
        ("torch_sources:ranked", ["ids:int64[batch,queries]", "features:float32[batch,keys<=32,5]"], "onnx"),
        ("keras_sources:dicts", ["ids:int32[batch,sequence]", "mask:float32[batch,sequence]"], "onnx"),
        ("keras_sources:strings", [], "savedmodel"),
        ("tensorflow_sources:strings", [], "savedmodel"),
    ],
)
def test_shapes_of_signatures(tmp_path, factory, inputs, form):
    done = bundle.export(factory, form, tmp_path / "out", inputs, **QUICK)
    assert done.report.passed


@pytest.mark.usefixtures("warm")
def test_a_savedmodel_without_signatures_is_called_like_its_module(of_tensorflow, tmp_path):
    done = bundle.export(of_tensorflow / "no_signatures", "savedmodel", tmp_path / "out", **QUICK)
    assert done.report.passed
    assert done.notes[0] == "the SavedModel has no signatures; its function '__call__' was taken"


@pytest.mark.usefixtures("warm")
def test_described_inputs_leave_the_outputs_their_names(tmp_path):
    asked = ["ids:int32[batch,sequence]", "weight:float32[batch,1]"]
    done = bundle.export("keras_sources:several", "savedmodel", tmp_path / "out", asked, **QUICK)
    assert done.report.passed
    assert done.manifest.signature.output_names == ("pooled", "logits")  # not in the order of model.outputs


@pytest.mark.usefixtures("warm")
def test_shared_weights_are_in_the_file_once(tmp_path):
    import onnx

    asked = ["ids:int64[batch,sequence]"]
    done = bundle.export("torch_sources:shared", "onnx", tmp_path / "out", asked, **QUICK)
    assert done.report.passed
    stored = onnx.load(done.file("onnx")).graph.initializer
    assert [sorted(each.dims) for each in stored if len(each.dims) == 2] == [[8, 16]]


@pytest.mark.usefixtures("warm")
def test_names_that_a_format_forbids(tmp_path):
    done = bundle.export("torch_sources:nested", "savedmodel", tmp_path / "out", **QUICK)
    assert done.report.passed
    assert done.manifest.names == {"savedmodel": {"x.left": "x_left", "x.right": "x_right"}}
    assert manifest.load(tmp_path / "out").names == done.manifest.names


@pytest.mark.skipif(find_spec("tf_keras") is not None, reason="Keras 2 itself is installed, and opens its files")
@pytest.mark.usefixtures("warm")
def test_a_file_of_keras_2_without_keras_2(of_tensorflow, tmp_path):
    import h5py

    shutil.copy(of_tensorflow / "functional.h5", tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file.attrs["keras_version"] = "2.15.0"
    done = bundle.export(tmp_path / "old.h5", "hdf5", tmp_path / "out", **QUICK)
    assert done.report.passed
    assert done.notes[0].startswith("Keras 2.15.0 wrote the file, Keras 3")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace("Conv2D", "ConvOfOld")
    with pytest.raises(BadInput, match=r"Keras 2.15.0 wrote it, and Keras 3\S* cannot open it") as raised:
        bundle.export(tmp_path / "old.h5", "hdf5", tmp_path / "out", **QUICK)
    assert raised.value.hint == "Keras 2 is a package of its own now: pip install tf_keras"


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        ({"class_name": "Lambda", "config": {"name": "f"}}, ["the Lambda layer 'f'"]),
        ({"class_name": "TFOpLambda", "config": {"function": "io.write_file"}}, ["a call of tf.io.write_file"]),
        ({"class_name": "SlicingOpLambda", "config": {"function": "py_function"}}, ["a call of tf.py_function"]),
        ({"class_name": "ClassMethod", "config": {"name": "m"}}, ["the ClassMethod layer 'm'"]),
        ({"class_name": "TFOpLambda", "config": {"function": "math.reduce_mean"}}, []),
        ({"class_name": "TFOpLambda", "config": {"function": "compat.v1.transpose"}}, []),
    ],
)
def test_code_in_a_file_of_keras_2(tmp_path, layer, found):
    import h5py

    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": {"layers": [layer]}})
    assert keras2_file.code_in(path) == found
    if found:
        with pytest.raises(UnsafeFile, match="it may do more than compute"):
            sources.resolve(path)
    assert sources.resolve(path, trust=[digest(path)]).facts["trusted"] is bool(found)


def folder_with(path, config):
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    return path


REFUSED = {
    "weights without a factory": (lambda at, _: at / "lightning.ckpt", {}, BadInput, "the file holds weights alone"),
    "a .pt2 file": (lambda at, _: at / "exported.pt2", {}, UnsafeFile, "a .pt2 archive may run code"),
    "a pickled model": (lambda at, _: at / "pickled.pt", {}, UnsafeFile, "it calls torch_sources.Net"),
    "a signature of what has none": (lambda at, _: at / "scripted.pt", {"signature": "a"}, BadInput, "one signature"),
    "code in a transformers folder": (
        lambda _, at: folder_with(at / "own", {"model_type": "x", "auto_map": {"AutoModel": "model.Own"}}),
        {}, UnsafeFile, "Python code that lies in the folder",
    ),
    "a transformers folder without a class": (
        lambda _, at: folder_with(at / "bare", {"model_type": "x"}), {}, BadInput, "does not say which class",
    ),
    "a setting that is none": (lambda *_: "timm:resnet18?classes", {}, BadInput, "'classes' is no setting"),
    "code in a setting": (lambda *_: "timm:resnet18?a=__import__('os')", {}, BadInput, "is no setting"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(of_torch, tmp_path, name):
    path, asked, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words) as raised:
        sources.resolve(path(of_torch, tmp_path), **asked)
    assert raised.value.hint


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("two_signatures", {},
         "it has the signatures classify, embed; none is called serving_default\n  Choose one: --signature classify."),
        ("two_signatures", {"signature": "other"}, "'other' is none of its signatures (classify, embed)"),
        ("no_signatures", {"signature": "other"}, "'other' is none of its functions (__call__, embed)"),
        ("written", {"factory": "tensorflow_sources:plain", "inputs": ["x:float32[batch,4]"]},
         "the checkpoint does not fit the model of tensorflow_sources:plain ("),
    ],
)  # fmt: skip
def test_what_is_refused_when_it_is_opened(of_tensorflow, tmp_path, name, asked, message):
    with pytest.raises(BadInput) as raised:
        bundle.export(of_tensorflow / name, "savedmodel", tmp_path / "out", **asked, **QUICK)
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("package", ["timm", "torchvision", "transformers"])
def test_a_package_that_is_not_installed(tmp_path, package):
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    named = {"timm": "timm:resnet18", "torchvision": "torchvision:resnet18"}
    source = named.get(package) or folder_with(tmp_path / "hub", {"model_type": "x", "architectures": ["XModel"]})
    with pytest.raises(RuntimeMissing, match=f"'{package}' is not installed") as raised:
        bundle.export(source, "torchscript", tmp_path / "out", **QUICK)
    assert raised.value.hint == f"pip install {package}"


WITHOUT_FRAMEWORKS = """
import sys
from exporters.sources import source as sources
from toolkit.errors import ToolkitError
from toolkit.files import digest
from toolkit.inspection import inspect
from toolkit.verification import verifier
from pathlib import Path
for path in map(Path, sys.argv[1:]):
    for asked in ({}, {"factory": "torch_sources:build", "trust": [digest(path)]}):
        try:
            sources.resolve(path, **asked)
        except ToolkitError:
            pass
    inspect(path)
assert not {"torch", "tensorflow", "keras", "transformers", "torch_sources", "onnxruntime"} & set(sys.modules)
"""


def test_probes_import_no_framework_and_run_nothing(of_torch, of_tensorflow):
    paths = [path for folder in (of_torch, of_tensorflow) for path in folder.iterdir() if inspectable(path)]
    assert len(paths) > 15
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FRAMEWORKS, *map(str, paths)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def inspectable(path):
    try:
        inspect(path)
    except ToolkitError:
        return False
    return True


def test_every_kind_is_described():
    for kind in kinds.KINDS.values():
        module, _, name = kind.opener.partition(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))
        assert kind.words


@pytest.mark.usefixtures("warm")
def test_a_model_that_is_built_again_has_the_same_names(tmp_path, monkeypatch):
    """Keras numbers the layers that it names itself, and the verifier's worker stays warm."""
    (tmp_path / "built_twice.py").write_text(
        "import keras\n\n\ndef build():\n"
        "    keras.utils.set_random_seed(0)\n"
        "    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])\n"
    )
    monkeypatch.chdir(tmp_path)
    written = bundle.export("built_twice:build", ["onnx"], tmp_path / "out", **QUICK)
    for _ in range(2):
        assert verifier.verify("built_twice:build", [written.file("onnx")], **QUICK).passed

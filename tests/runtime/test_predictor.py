"""`toolkit.load`: every format predicts by name, and refuses what does not fit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from toolkit import load, manifest
from toolkit.contract import Contract, Preprocessing
from toolkit.errors import BadInput, RuntimeMissing
from toolkit.runtime import devices, image
from toolkit.runtime.runner import check_inputs
from toolkit.signature import Signature, TensorSpec


@pytest.fixture(scope="module")
def predictor(exports):
    with load(exports["torch"].folder) as made:
        yield made


def test_predict(predictor):
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    found = predictor.run({"x": x})["output"]
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    assert predictor.ran_on == "cpu"
    np.testing.assert_array_equal(predictor.run({"x": x.astype(">f4")})["output"], found)
    np.testing.assert_array_equal(predictor.run({"x": np.asfortranarray(x)})["output"], found)


SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 4)), TensorSpec("n", "int64", ("batch",))),
    (TensorSpec("y", "float32", ("batch",)),),
)
X, N = np.zeros((2, 4), np.float32), np.zeros(2, np.int64)
CONVERT = "\n  Convert it: array.astype('float32')."


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "inputs: the model takes the inputs 'x', 'n' and was given none"),
        ({"x": X}, "inputs: the model takes the inputs 'x', 'n' and was given 'x'"),
        ({"x": X, "n": N, "m": N}, "inputs: the model takes the inputs 'x', 'n' and was given 'x', 'n', 'm'"),
        ({"X": X, "n": N}, "inputs: the model takes the inputs 'x', 'n' and was given 'X', 'n'"),
        ({"x": X.astype(np.float64), "n": N}, f"input 'x': its dtype is float64, the model takes float32{CONVERT}"),
        ({"x": X.astype(str), "n": N}, f"input 'x': its dtype is string, the model takes float32{CONVERT}"),
        ({"x": X[0], "n": N}, "input 'x': its shape is [4], the model takes [batch, 4]"),
        ({"x": X[:, :3], "n": N}, "input 'x': its shape is [2, 3], the model takes [batch, 4]"),
        ({"x": X, "n": N[:1]}, "input 'n': its shape is [1], the model takes [batch]"),
        ({"x": X.tolist(), "n": N},
         "input 'x': it is a list, not a NumPy array\n  Convert it: numpy.asarray(value, 'float32')."),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(inputs, message):
    with pytest.raises(BadInput) as caught:
        check_inputs(SIGNATURE, inputs)
    assert str(caught.value) == f"BadInput: {message}"


def picture(path, size, mode="L"):
    from PIL import Image

    Image.new(mode, size, 128 if mode == "L" else (255, 128, 0)).save(path)
    return path


GREY = Preprocessing("x", "L", (4, 6), mean=(0.5,), std=(0.25,), layout="HW", shape=(4, 6))


def test_an_image_becomes_an_input(tmp_path):
    sample = image.load(picture(tmp_path / "a.png", (6, 4)), GREY)
    assert (sample.shape, sample.dtype) == ((1, 4, 6), np.float32)
    np.testing.assert_allclose(sample, (128 / 255 - 0.5) / 0.25, atol=1e-6)
    colour = Preprocessing("x", "RGB", (4, 6), mean=(0, 0, 0), std=(1, 1, 1), layout="CHW", shape=(3, 4, 6))
    sample = image.load(picture(tmp_path / "b.png", (6, 4), "RGB"), colour)
    np.testing.assert_allclose(sample[0, :, 0, 0], [1, 128 / 255, 0], rtol=1e-6)
    assert image.load(tmp_path / "b.png", GREY).shape == (1, 4, 6)


def test_an_image_of_the_wrong_size(tmp_path):
    path = picture(tmp_path / "a.png", (5, 7))
    with pytest.raises(BadInput) as caught:
        image.load(path, GREY)
    assert str(caught.value) == (
        f"BadInput: {path}: the image is 5x7, the model takes 6x4\n"
        "  Resize it, or pass --resize to have it done (bilinear)."
    )
    assert image.load(path, GREY, resize=True).shape == (1, 4, 6)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        image.load(path, GREY)
    assert str(caught.value) == f"BadInput: {path}: it is not an image that can be read\n  Use PNG or JPEG."


def test_a_missing_image(tmp_path):
    with pytest.raises(BadInput) as caught:
        image.load(tmp_path / "a.png", GREY)
    assert str(caught.value) == f"BadInput: {tmp_path / 'a.png'}: no such file\n  Give an image file."


def test_classes(predictor, tmp_path, monkeypatch):
    contract = Contract(
        Preprocessing("x", "L", (2, 2), layout="HW", shape=(4,)), ("cat", "dog", "bird"), "output", "softmax"
    )
    monkeypatch.setattr(predictor._runner, "contract", contract)
    found = predictor.classify(picture(tmp_path / "a.png", (2, 2)))
    assert found.label == contract.labels[found.index]
    assert found.index == int(np.argmax(found.scores))
    monkeypatch.setattr(predictor._runner, "contract", Contract())
    with pytest.raises(BadInput) as caught:
        predictor.classify(tmp_path / "a.png")
    assert str(caught.value) == (
        "BadInput: the model carries no preprocessing, so an image cannot become its input\n"
        "  Pass arrays instead: toolkit predict MODEL FILE.npz."
    )


def test_a_format_that_a_bundle_lacks(exports, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(exports["torch"].folder, folder)
    replace(manifest.load(folder), formats={"onnx": "model.onnx"}).save(folder)
    with pytest.raises(BadInput) as caught:
        load(folder, format="tflite")
    assert str(caught.value) == f"BadInput: {folder}: the bundle holds no tflite; it holds onnx"


def test_a_runtime_that_is_not_installed(exports, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeMissing) as caught:
        load(exports["torch"].file("onnx"))
    assert str(caught.value) == (
        "RuntimeMissing: the package 'onnxruntime' is not installed\n  `toolkit doctor` says what to run."
    )


LIGHT = """
import sys
import toolkit, toolkit.runtime, toolkit.runtime.devices, toolkit.runtime.image, toolkit.runtime.predictor
import toolkit.runtime.runner, toolkit.runtime.onnx_runner, toolkit.runtime.torchscript_runner
import toolkit.runtime.savedmodel_runner, toolkit.runtime.hdf5_runner, toolkit.runtime.litert_runner
heavy = {"torch", "tensorflow", "keras", "onnx", "onnxruntime", "h5py", "exporters", "trainers"}
print(*sorted((heavy | {"toolkit.cli", "toolkit.verification"}) & set(sys.modules)))
"""


def test_importing_the_run_time_loads_no_framework():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


LOAD = """
import json, os, sys
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1")
import numpy as np, toolkit
from safetensors.numpy import load_file
golden = load_file(sys.argv[1])
inputs = {key.split("/", 2)[2]: value for key, value in golden.items() if key.startswith("3/inputs/")}
worst = 0.0
for path in sys.argv[2:]:
    with toolkit.load(path) as predictor:
        for name, array in predictor.run(inputs).items():
            expected = golden[f"3/source/{name}"]
            assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
            worst = max(worst, float(np.abs(array - expected).max() / max(1, np.abs(expected).max())))
print(json.dumps({"worst": worst}))
"""


@pytest.mark.parametrize(
    "forms", [("savedmodel", "hdf5", "keras", "tflite"), ("torchscript",), ("onnx",)], ids=" ".join
)
def test_load_in_an_apps_process(exports, forms):
    export = exports["several"]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(export.folder / "golden.safetensors"), *map(str, map(export.file, forms))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["worst"] < 1e-5
    assert manifest.check(export.folder)


# -- devices


@pytest.mark.parametrize(
    ("text", "parsed"), [("cpu", ("cpu", 0)), ("cuda", ("cuda", 0)), ("cuda:3", ("cuda", 3)), ("cuda:0", ("cuda", 0))]
)
def test_devices(text, parsed):
    assert devices.parse(text) == parsed


@pytest.mark.parametrize("text", ["", "gpu", "CUDA", "cuda:x", "cuda:-1", "cpu0", "cuda:0:1"])
def test_what_is_no_device(text):
    with pytest.raises(BadInput) as caught:
        devices.parse(text)
    assert str(caught.value) == (
        f"BadInput: --device: '{text}' is not a device\n  Use cpu, cuda, or cuda:N for the N-th GPU."
    )


@pytest.mark.parametrize(
    ("runtime", "there", "missing"),
    [
        ("tensorflow", set(), "libcuda.so.1 missing (no NVIDIA driver)"),
        ("tensorflow", {"libcuda.so.1"}, "libcudart.so.12 missing"),
        ("tensorflow", {"libcuda.so.1", "libcudart.so.12"}, "libcublas.so.12 missing"),
        ("tensorflow", {"libcuda.so.1", *devices._TENSORFLOW_LIBRARIES} - {"libcudnn.so.9"}, "libcudnn.so.9 missing"),
        ("tensorflow", {"libcuda.so.1", *devices._TENSORFLOW_LIBRARIES}, None),
        ("torch", set(), "libcuda.so.1 missing (no NVIDIA driver)"),
        ("torch", {"libcuda.so.1"}, "libcudnn.so.9 missing"),
        ("torch", {"libcuda.so.1", "libcudnn.so.9"}, None),
    ],
)
@pytest.mark.parametrize("place", ["loader", "packages"])
def test_the_missing_library_has_a_name(monkeypatch, tmp_path, runtime, there, missing, place):
    driver = {"libcuda.so.1"}
    found = there if place == "loader" else there & driver
    monkeypatch.setattr(devices, "missing_library", lambda name: None if name in found else name)
    monkeypatch.setattr(devices, "_version", lambda _: "2.13.0")
    (tmp_path / "cudnn/lib").mkdir(parents=True)
    for name in there - found:
        (tmp_path / "cudnn/lib" / name).touch()
    monkeypatch.setattr(devices, "_package_folders", lambda: [tmp_path / "cudnn/lib"])
    assert devices.missing_for_cuda(runtime) == missing


def test_a_package_that_is_missing(monkeypatch):
    monkeypatch.setattr(devices, "_version", lambda _: None)
    assert devices.missing_for_cuda("torch") == "the package 'torch' is not installed"
    assert devices.missing_for_cuda("tensorflow") == "the package 'tensorflow' is not installed"
    monkeypatch.setattr(devices, "_version", lambda _: "2.13.0+cpu")
    assert devices.missing_for_cuda("torch") == "torch 2.13.0+cpu was built without CUDA"


def test_what_the_loader_says(tmp_path):
    assert devices.missing_library("libc.so.6") is None
    assert devices.missing_library("libnot-there.so.7") == "libnot-there.so.7"
    assert devices.missing_library(tmp_path / "libnot-there.so.8") == "libnot-there.so.8"

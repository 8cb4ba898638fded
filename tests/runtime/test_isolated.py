"""Every exported file loads, and predicts the same, in a process that has its one runtime and nothing of ours."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.limits import HANG

# Format -> the only framework that its process may import, and how a stranger opens and calls the file there.
LOADERS = {
    "torchscript": ("torch", """
import torch
def opened(path, outputs):
    model = torch.jit.load(path).eval()
    return lambda feed: [value.detach().numpy() for value in flat(model(*map(torch.from_numpy, feed.values())))]
"""),
    "savedmodel": ("tensorflow", """
import tensorflow as tf
def opened(path, outputs):
    loaded = tf.saved_model.load(path)
    def call(feed):
        found = loaded.signatures["serving_default"](**{name: tf.constant(array) for name, array in feed.items()})
        return [found[name].numpy() for name in outputs]
    return call
"""),
    "hdf5": ("tensorflow", """
import keras
def opened(path, outputs):
    model = keras.models.load_model(path)
    names = [tensor.name for tensor in model.inputs]
    return lambda feed: [value.numpy() for value in flat(model([feed[name] for name in names], training=False))]
"""),
    "onnx": ("onnxruntime", """
import onnxruntime
def opened(path, outputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(outputs, feed)
"""),
}  # fmt: skip

STRANGER = """
import importlib.abc, json, os, sys, warnings
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1")
allowed, jobs = sys.argv[1], json.loads(sys.argv[2])
FRAMEWORKS = {"torch", "tensorflow", "onnxruntime"}
BANNED = {"toolkit", "exporters", "trainers", "onnx_ir", "onnxscript", "tf2onnx"} | (FRAMEWORKS - {allowed})

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BANNED:
            raise ModuleNotFoundError(f"{name} is not here", name=name)

sys.meta_path.insert(0, Refuse())
for name in BANNED:
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} could be imported")

def flat(value):
    if isinstance(value, dict):
        return [leaf for child in value.values() for leaf in flat(child)]
    return [leaf for child in value for leaf in flat(child)] if isinstance(value, (list, tuple)) else [value]

warnings.simplefilter("ignore")
import numpy as np
from safetensors.numpy import load_file
LOADER
def compared(path, golden, inputs, outputs):
    golden, call = load_file(golden), opened(path, outputs)
    largest, sizes = 0.0, set()
    for index in range(len({key.partition("/")[0] for key in golden})):
        side = lambda kind: {key.split("/", 2)[2]: golden[key] for key in golden if key.startswith(f"{index}/{kind}/")}
        feed, expected = side("inputs"), side("source")
        found = call({name: feed[name] for name in inputs})
        assert len(found) == len(outputs), (len(found), outputs)
        for name, array in zip(outputs, found):
            assert array.shape == expected[name].shape, (name, array.shape, expected[name].shape)
            assert array.dtype == expected[name].dtype, (name, array.dtype)
            scale = max(1.0, float(np.abs(expected[name]).max(initial=0)))
            largest = max(largest, float(np.abs(array - expected[name]).max(initial=0)) / scale)
        sizes.add(len(array))
    return {"largest": largest, "sizes": sorted(sizes)}

results = [compared(*job) for job in jobs]
print(json.dumps({"results": results, "modules": sorted(FRAMEWORKS & set(sys.modules))}))
"""


def as_a_stranger(form, jobs, cwd):
    """Run golden data through files in a fresh process; a job is (path, golden data, input names, output names)."""
    allowed, loader = LOADERS[form]
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER.replace("LOADER", loader), allowed, json.dumps(jobs)],
        capture_output=True, text=True, cwd=cwd, timeout=HANG, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["modules"] == [allowed]
    return found["results"]


def job(export, form, golden=None):
    from toolkit import manifest

    signature = manifest.load(export.folder).signature
    data = (golden or export).folder / "golden.safetensors"
    return [str(export.file(form)), str(data), list(signature.input_names), list(signature.output_names)]


@pytest.mark.parametrize("form", LOADERS)
def test_a_strangers_process(exports, tmp_path, form):
    for found in as_a_stranger(form, [job(exports[model], form) for model in ("torch", "several")], tmp_path):
        assert found["largest"] < 1e-5
        assert len(found["sizes"]) >= 4  # the batch really varies


def test_the_stranger_notices_a_wrong_model(exports, tmp_path):
    """The check above can fail: another model's golden data do not agree."""
    wrong = job(exports["torch"], "onnx", golden=exports["keras"])
    wrong[3] = ["scores"]
    with pytest.raises(AssertionError, match="scores"):
        as_a_stranger("onnx", [wrong], tmp_path)

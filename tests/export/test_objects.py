"""A model object of the caller's own, through the Python API, in a process that holds its framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, os, sys
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1")
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import importlib, toolkit
from toolkit.worker.limits import Limits
made = importlib.import_module(sys.argv[3]).build()
model, inputs = (made[0], ["x:float32[batch,4]"]) if isinstance(made, tuple) else (made, [])
training = getattr(model, "training", None)
asked = dict(inputs=inputs, count=32, latency=False, limits=Limits(threads=1))
bundle = toolkit.export(model, sys.argv[4], "out", **asked)
report = toolkit.verify(model, [bundle.path], **asked)
try:
    toolkit.export(object(), "onnx", "other")
    refused = None
except Exception as error:
    refused = str(error)
print(json.dumps({
    "passed": [bundle.report.passed, report.passed],
    "formats": list(bundle.manifest.formats),
    "names": [row.format for row in report.rows],
    "unchanged": getattr(model, "training", None) == training,
    "refused": refused,
    "source": bundle.manifest.source["kind"],
}))
"""


@pytest.mark.parametrize(
    ("model", "form", "kind"),
    [
        ("zoo_torch", "torchscript", "torch-object"),
        ("zoo_keras", "hdf5", "keras-object"),
        ("zoo_tensorflow", "savedmodel", "tensorflow-object"),
    ],
)
def test_a_model_object(models, tmp_path, model, form, kind):
    root = str(Path(__file__).parents[2])
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-c", SCRIPT, root, str(models), model, form],
        capture_output=True, text=True, cwd=tmp_path / "work", env={**os.environ, "TMPDIR": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found == {
        "passed": [True, True],
        "formats": [form],
        "names": [form],
        "unchanged": True,
        "refused": "UnknownFormat: source: a builtins.object is not a model\n"
        "  Pass a torch.nn.Module, a keras.Model, a tf.Module, a path, or 'package.module:factory'.",
        "source": kind,
    }
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["out"]

"""Our TorchScript of a .keras file against Keras itself on its PyTorch backend: a second opinion, with nothing of ours.

Keras takes one backend for a process: files are written and exported with TensorFlow, and compared where there is none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exporters import tasks
from exporters.options import ExportOptions
from exporters.sources import source as sources
from tests.limits import HANG
from toolkit.verification.sides import open_source

WRITE = """
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers as L


def image():
    x = keras.Input((None, None, 3))
    h = L.BatchNormalization()(L.Conv2D(8, 3, 2, "same")(x))
    h = L.Add()([h, L.SeparableConv2D(8, 3, padding="same", activation="swish")(h)])
    return keras.Model(x, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(L.MaxPooling2D(3, 2, "same")(h))))


def sequence():
    x = keras.Input((6, 5))
    h = L.Bidirectional(L.GRU(4, return_sequences=True))(x)
    return keras.Model(x, L.LSTM(3)(h) + L.SimpleRNN(3, go_backwards=True)(h))


def words():
    x = keras.Input((6,), dtype="int32")
    return keras.Model(x, L.GRU(4, return_sequences=True)(L.Embedding(9, 5, mask_zero=True)(x)))


def attention():
    x = keras.Input((6, 8))
    h = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    return keras.Model(x, h + L.Dense(8)(L.Dense(16, activation="gelu")(h)))


def upwards():
    x = keras.Input((4, 5, 4))
    h = L.Conv2DTranspose(8, 3, 2, padding="same", activation="elu")(x)
    return keras.Model(x, L.GroupNormalization(4)(L.UpSampling2D(2, interpolation="bilinear")(h)))


keras.utils.set_random_seed(3)
random = np.random.default_rng(0)
for build in (image, sequence, words, attention, upwards):
    model = build()
    for weight in model.weights:
        weight.assign(weight + np.abs(random.normal(0, 0.05, weight.shape)).astype("float32"))
    model.save(Path(sys.argv[1]) / f"{build.__name__}.keras")
"""

COMPARE = """
import json, sys
from pathlib import Path

import keras, numpy as np, torch

assert keras.backend.backend() == "torch"
found = {}
for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    model, ours = keras.models.load_model(path), torch.jit.load(path.with_suffix(".pt"))
    (given,) = model.inputs
    for batch in (1, 2, 3, 7):
        random = np.random.default_rng(batch)
        shape = [batch, *(size or 12 + 3 * batch + axis for axis, size in enumerate(given.shape[1:]))]
        whole = given.dtype.startswith("int")
        x = torch.tensor((random.integers(0, 3, shape) if whole else random.normal(size=shape)).astype(given.dtype))
        with torch.no_grad():
            expected, predicted = model(x, training=False), ours(x)
        assert expected.shape == predicted.shape, (path.stem, expected.shape, predicted.shape)
        difference = float((expected - predicted).abs().max() / expected.abs().max())
        found[f"{path.stem} {batch}"] = difference
print(json.dumps(found))
"""

CLOSE = 1e-5  # relative to the largest output: some dozens of roundings of float32, a hundredth of any mistake
NAMES = ("attention", "image", "sequence", "upwards", "words")


def _python(code: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env={**os.environ, **environment}, capture_output=True, text=True,
        check=False, timeout=HANG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def differences(pool: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("second_opinion")
    _python(WRITE, folder, KERAS_BACKEND="tensorflow")
    for name in NAMES:
        _export(pool, folder / f"{name}.keras")
    found: dict[str, float] = json.loads(_python(COMPARE, folder, KERAS_BACKEND="torch").splitlines()[-1])
    return found


def _export(pool: Any, path: Path) -> None:
    side = open_source(pool, sources.resolve(path))
    onnx, options = str(path.with_suffix(".onnx")), ExportOptions().to_json()
    params = {"handle": side.handle, "to": "onnx", "strategy": "tf2onnx", "path": onnx, "options": options}
    written = side.worker.call(f"{tasks.__name__}:write", params)
    assert written["written"], written
    interface = {"signature": side.signature.to_json(), "contract": side.contract.to_json()}
    target = {"onnx_path": onnx, "to": "torchscript", "path": str(path.with_suffix(".pt")), **interface}
    pool.worker("torch", "cpu").call(f"{tasks.__name__}:write_from_onnx", {**target, "options": options})
    side.close()


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
@pytest.mark.parametrize("name", NAMES)
def test_predicts_what_keras_on_pytorch_predicts(differences: dict[str, float], name: str, batch: int) -> None:
    assert differences[f"{name} {batch}"] < CLOSE

"""Unrolled cells, and weights that are computed, as Keras' own layers: built, saved, and loaded again.

Prints one JSON object: case -> {"layers": their classes, "functional" and "saved": 'ok' or what is wrong}.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from exporters import onnx_to_keras
from tests.importers.recurrent_cases import arrays
from tests.importers.unrolled_cases import CASES

LAYERS = {"GRU", "LSTM", "SimpleRNN"}
# What is asked of a layer: its last state, all of them, either way, one in the middle, first states, either reset.
NAMES = (
    "lstm, all gates at once", "gru, as PyTorch computes it", "gru, reset before", "rnn",
    "lstm, all gates at once; the last", "lstm, all gates at once; backwards, all",
    "gru, as PyTorch computes it; backwards, one in the middle", "rnn; from zeros", "lstm, all gates at once; a part",
)  # fmt: skip
# name -> how W [1, gates, 5] and R [1, gates, 4] come about, and of what; the length is free.
COMPUTED: dict[str, tuple[str, str, dict[str, tuple[int, ...]]]] = {
    "lstm, its states projected": (
        "LSTM",
        "w = Concat <axis = 1> (wi, wh) W = Unsqueeze (w, first) r = MatMul (wh, p) R = Unsqueeze (r, first)",
        {"wi": (16, 2), "wh": (16, 3), "p": (3, 4)},
    ),
    "rnn, its weights normalised": (
        "RNN",
        "W = Identity (wi) l = ReduceL2 <keepdims = 1> (v, last) u = Div (v, l) R = Mul (u, g)",
        {"wi": (1, 4, 5), "v": (1, 4, 4), "g": (1, 4, 1)},
    ),
}


def computed(name: str) -> onnx.ModelProto:
    layer, nodes, shapes = COMPUTED[name]
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> main (float[T,B,5] X) => (float[T,1,B,4] Y, float[1,B,4] H) '
        "{ first = Constant <value = int64[1] {0}> () last = Constant <value = int64[1] {2}> () "
        f"{nodes} Y, H = {layer} <hidden_size = 4> (X, W, R) }}"
    )
    random = np.random.default_rng(5)
    for weight, shape in shapes.items():
        array = (0.5 * random.standard_normal(shape)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, weight))
    return model


def outcomes(name: str, folder: Path) -> Iterator[tuple[str, Any]]:
    case = computed(name) if name in COMPUTED else CASES[name].model()
    given = arrays(case, {"T": 6, "B": 3})
    wanted = ReferenceEvaluator(case).run(None, given)
    model = onnx_to_keras.build(case)
    yield "layers", sorted(type(layer).__name__ for layer in model.layers if type(layer).__name__ in LAYERS)
    tensors = [tf.constant(array) for array in given.values()]
    yield "functional", compared(model(tensors if len(tensors) > 1 else tensors[0]), wanted)
    model.save(folder / "model.keras")
    again = keras.models.load_model(folder / "model.keras")
    yield "saved", compared(again(tensors if len(tensors) > 1 else tensors[0]), wanted)


def compared(found: Any, wanted: list[Any]) -> str:
    arrays_found = [np.asarray(each) for each in (found if isinstance(found, list | tuple) else [found])]
    for one, other in zip(arrays_found, wanted, strict=True):
        if one.shape != other.shape:
            return f"{one.shape} for {other.shape}"
        if not np.allclose(one, other, rtol=2e-5, atol=2e-6):
            return f"off by {np.abs(one - other).max():.1e}"
    return "ok"


def main() -> None:
    found = {}
    for name in (*NAMES, *COMPUTED):
        with tempfile.TemporaryDirectory() as folder:
            found[name] = dict(outcomes(name, Path(folder)))
    print(json.dumps(found))


if __name__ == "__main__":
    main()

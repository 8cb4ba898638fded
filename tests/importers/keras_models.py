"""What the Keras importer makes of the models in a folder, as JSON: `python tests/importers/keras_models.py FOLDER`.

Also writes `keras.onnx`, a Keras model through tf2onnx, for the PyTorch importer.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import tensorflow as tf

from exporters import onnx_to_keras
from exporters.onnx_to_keras import hdf5


def errors(model: Any, data: Any) -> float:
    """The largest difference at any batch."""
    worst = 0.0
    for name in data.files:
        if name.startswith("x"):
            outputs = model(data[name])
            outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
            for i, output in enumerate(outputs):
                worst = max(worst, float(np.abs(np.asarray(output) - data[f"y{name[1:]}.{i}"]).max()))
    return worst


def results(folder: Path) -> dict[str, Any]:
    rows = {}
    for path in sorted(folder.glob("*-*.onnx")):
        data = np.load(folder / f"{path.stem.split('-')[0]}.npz")
        model = onnx_to_keras.build(path)
        hdf5.save(model, path.with_suffix(".h5"))
        double = onnx_to_keras.build(path, dtype="float64")
        rows[path.stem] = {
            "error": errors(model, data),
            "double": errors(double, data),
            "weights": [weight.path for weight in model.weights],
            "dtypes": sorted({str(weight.dtype) for weight in double.weights}),
            "transposes": sum(type(operation).__name__ == "Transpose" for operation in model.operations),
            "lambdas": [layer.name for layer in model.layers if "Lambda" in type(layer).__name__],
        }
    return rows


def write_keras_model(folder: Path) -> None:
    import tf2onnx

    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="x")
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    function = tf.function(model, input_signature=[tf.TensorSpec((None, 6), tf.float32, name="x")])
    tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, output_path=str(folder / "keras.onnx")
    )
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    np.savez(folder / "keras_data.npz", x=x, y=np.asarray(model(x)))


def trap(shape: tuple[int, ...], other: tuple[int, ...]) -> float:
    """How far the importer's addition is off where Keras' own takes the second operand for a bias."""
    from exporters.onnx_to_keras.arithmetic import plus

    a = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    b = np.random.default_rng(1).normal(size=other).astype(np.float32)
    x, y = keras.Input(batch_shape=shape), keras.Input(batch_shape=other)
    model = keras.Model([x, y], plus(x, y))
    return float(np.abs(np.asarray(model([a, b])) - (a + b)).max())


def layers_of(name: str) -> list[str]:
    """Names of the weights, and of the additions that are left, in what a trap's graph becomes."""
    from tests.importers import traps

    model = onnx_to_keras.build(next(trap.case().model for trap in traps.graphs.graphs() if trap.name == name))
    additions = [type(operation).__name__ for operation in model.operations if type(operation).__name__ == "Add"]
    assert all(weight.trainable for weight in model.weights)
    return [weight.path for weight in model.weights] + additions


def main(folder: Path) -> None:
    rows = results(folder)
    write_keras_model(folder)
    shapes = [((1, 32, 8, 32), (1, 32, 1, 1)), ((4, 4), (4, 1)), ((3, 5), (5,)), ((2, 4, 1), (4,)), ((2, 3, 3), (3, 1))]
    traps = {f"{a}+{b}": trap(a, b) for a, b in shapes}
    names = ("matmul_add", "bias_first", "conv_add", "bias_per_row", "conv_add_per_column", "product_read_twice")
    biases = {name: layers_of(name) for name in names}
    json.dump({"models": rows, "additions": traps, "biases": biases}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

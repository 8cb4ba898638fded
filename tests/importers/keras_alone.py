"""Open .h5 files and SavedModels where TensorFlow and Keras are alone; told what to open on its standard input.

Each line names a folder. Its `feedings.pickle` says, per case, with what to call the model; the case's .h5 file is
opened by plain `keras.models.load_model`, its SavedModel (one signature for each of several cases) by
`tf.saved_model.load`. What comes out goes to `results.pickle`: per case and column the outputs, or the error in one
line. Must import nothing of this project.
"""

import os
import pickle
import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

ABSENT = ("exporters", "toolkit", "trainers", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "torch")


class Absent(MetaPathFinder):
    """Makes the packages of `ABSENT` as good as not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".", maxsplit=1)[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} where TensorFlow is alone", name=name)


def h5(folder: Path, case: str) -> Callable[[list[Any]], list[Any]]:
    import keras

    model = keras.models.load_model(folder / f"{case}.h5")

    def call(feeding: list[Any]) -> list[Any]:
        results = model(feeding[0] if len(feeding) == 1 else feeding)
        return list(results) if isinstance(results, list | tuple) else [results]

    return call


@cache
def saved_model(path: Path) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(path)


def savedmodel(folder: Path, case: str) -> Callable[[list[Any]], list[Any]]:
    """The case's signature, in the SavedModel that it has with others or in one of its own."""
    import tensorflow as tf

    own = folder / f"{case}.saved_model"
    signature = saved_model(own if own.exists() else folder / "all.saved_model").signatures[case]

    def call(feeding: list[Any]) -> list[Any]:
        results = signature(**{f"input_{i}": tf.constant(value) for i, value in enumerate(feeding)})
        return [results[f"output_{i}"] for i in range(len(results))]

    return call


COLUMNS = {"h5": h5, "savedmodel": savedmodel}


def outcome(column: str, folder: Path, case: str, feedings: list[list[Any]]) -> Any:
    try:
        call = COLUMNS[column](folder, case)
        return [[value.numpy() for value in call(feeding)] for feeding in feedings]
    except Exception as error:  # noqa: BLE001 - every failure is an answer
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def run(folder: Path) -> None:
    cases = pickle.loads((folder / "feedings.pickle").read_bytes())  # our own, written by keras_suite.py
    results = {
        name: {column: outcome(column, folder, name, feedings) for column in COLUMNS}
        for name, feedings in cases.items()
    }
    saved_model.cache_clear()
    (folder / "results.pickle").write_bytes(pickle.dumps(results))


def main() -> None:
    warnings.simplefilter("ignore")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.meta_path.insert(0, Absent())
    for line in sys.stdin:
        run(Path(line.strip()))
        assert not any(name in sys.modules for name in ABSENT)
        print("done", flush=True)


if __name__ == "__main__":
    main()

"""LiteRT files (.tflite) through their first signature, in ai_edge_litert where it is installed, else in TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np

from toolkit import litert, metadata
from toolkit.causes import said
from toolkit.contract import Contract
from toolkit.errors import BadInput, DeviceMissing
from toolkit.runtime import devices
from toolkit.runtime.runner import Arrays, Runner
from toolkit.signature import identifiers

Array = np.ndarray[Any, Any]


class LitertRunner(Runner):
    """One .tflite file on the CPU. Its tensors get the sizes of each call's inputs before it runs."""

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        self.path = path
        self.device = device
        self.threads = threads
        self.notes: list[str] = []
        self._loaded: Any = None
        self._shapes: dict[str, tuple[int, ...]] = {}

    def __enter__(self) -> Self:
        if devices.parse(self.device)[0] != "cpu":
            raise DeviceMissing("LiteRT files run on the CPU here", where=f"litert on {self.device}")
        content = litert.read(self.path)
        custom = [name for name in content.custom if not name.startswith(litert.FLEX)]
        if custom:
            raise BadInput(f"it needs the custom operator {custom[0]}, which no runtime has", where=str(self.path))
        kind, self.runtime = _interpreter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # TensorFlow's own interpreter says that it will move elsewhere
                self._model = kind(model_path=str(self.path), num_threads=self.threads)
            self._model.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BadInput(
                f"LiteRT cannot open it ({said(error)})",
                where=str(self.path),
                hint="The file is damaged, or needs TensorFlow's operators (SELECT_TF_OPS), which it may run with.",
            ) from error
        self.signature, self.contract = metadata.loads(metadata.of_archive(self.path)) or (
            content.signature,
            Contract(),
        )
        self._inputs, self._outputs = self._places()
        self.ran_on = "cpu"
        return self

    def _places(self) -> tuple[dict[str, int], dict[str, int]]:
        """Which tensor each input and output is; a file without signatures is read by its tensors' names."""
        listed = self._model.get_signature_list()
        if listed:
            called = self._model.get_signature_runner(next(iter(listed)))
            sides = (called.get_input_details(), called.get_output_details())
            inputs, outputs = ({name: int(item["index"]) for name, item in side.items()} for side in sides)
        else:
            sides = (self._model.get_input_details(), self._model.get_output_details())
            inputs, outputs = ({item["name"]: int(item["index"]) for item in side} for side in sides)
        names = identifiers(self.signature.input_names)
        inputs = {name: inputs[named] for name in names for named in (name, names[name]) if named in inputs}
        missing = [name for name in self.signature.input_names if name not in inputs]
        missing += [name for name in self.signature.output_names if name not in outputs]
        if missing:
            raise BadInput(f"the model has no '{missing[0]}'", where=str(self.path), hint="Export it again.")
        return inputs, outputs

    def prepare(self, inputs: Arrays) -> Any:
        feed = dict(inputs)
        self._load(feed)
        return feed

    def _load(self, feed: dict[str, Array]) -> None:
        shapes = {name: array.shape for name, array in feed.items()}
        try:
            if shapes != self._shapes:
                self._shapes = {}
                for name, shape in shapes.items():
                    self._model.resize_tensor_input(self._inputs[name], shape)
                self._model.allocate_tensors()
                self._shapes = shapes
            for name, array in feed.items():
                self._model.set_tensor(self._inputs[name], np.asarray(array, order="C"))
        except (ValueError, RuntimeError) as error:
            raise BadInput(f"LiteRT refuses the inputs ({said(error)})", where=str(self.path)) from error
        self._loaded = feed

    def invoke(self, feed: Any) -> Any:
        if feed is not self._loaded:
            self._load(feed)
        self._model.invoke()
        return self._outputs

    def fetch(self, outputs: Any) -> dict[str, Array]:
        return {name: self._model.get_tensor(outputs[name]) for name in self.signature.output_names}

    def weights(self) -> dict[str, Array]:
        """The float tensors that the file stores, by name."""
        data = np.memmap(self.path, np.uint8, mode="r")
        found = {}
        for item in litert.read(self.path).weights:
            if item.dtype not in ("bfloat16", "int8"):
                stored = np.array(data[item.start : item.start + item.size])
                found[item.name] = stored.view(item.dtype).reshape(item.shape)
        return found

    def quantised(self) -> Iterator[tuple[str, Array, Array]]:
        """The tensors that the file stores in 8 bits: name, values as float32, and their step, shaped to broadcast."""
        data = np.memmap(self.path, np.uint8, mode="r")
        details = {item["name"]: item for item in self._model.get_tensor_details()}
        for item in litert.read(self.path).weights:
            known = details.get(item.name, {}).get("quantization_parameters", {})
            scales, axis = known.get("scales", ()), known.get("quantized_dimension", 0)
            if item.dtype != "int8" or not len(scales):
                continue
            shape = [1] * len(item.shape)
            if len(scales) > 1:
                shape[axis] = len(scales)
            step = np.asarray(scales, np.float32).reshape(shape)
            stored = np.array(data[item.start : item.start + item.size]).view(np.int8).reshape(item.shape)
            zero = np.asarray(known["zero_points"], np.int32).reshape(shape)
            yield item.name, ((stored.astype(np.int32) - zero) * step).astype(np.float32), step


def _interpreter() -> tuple[Any, str]:
    """The class that runs a file, and what it is called in a report."""
    if find_spec("ai_edge_litert") is not None:
        from importlib.metadata import version

        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, f"litert {version('ai-edge-litert')}"
    from toolkit.runtime.savedmodel_runner import import_tensorflow

    tf = import_tensorflow()
    return tf.lite.Interpreter, f"tensorflow lite {tf.__version__}"

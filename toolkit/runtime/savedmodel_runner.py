"""SavedModel folders through TensorFlow, by their serving signature."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from toolkit import metadata
from toolkit.causes import said
from toolkit.contract import Contract
from toolkit.errors import BadInput, DeviceMissing
from toolkit.runtime import devices
from toolkit.runtime.runner import Arrays, Runner
from toolkit.signature import Dim, Signature, TensorSpec, identifiers

if TYPE_CHECKING:
    import numpy as np

SERVING = "serving_default"


class TensorFlowRunner(Runner):
    """What every TensorFlow model shares.

    `self.function` is a concrete function that takes and returns tensors by name; set on entry.
    """

    function: Any

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        self.path = path
        self.device = device
        self.threads = threads
        self.notes: list[str] = []

    def _enter_tensorflow(self) -> Any:
        """Import TensorFlow, prove the device and pin the threads; returns the module."""
        tf = import_tensorflow(self.threads)
        self._tf = tf
        kind, index = devices.require("tensorflow", self.device)
        if kind == "cuda" and len(tf.config.list_physical_devices("GPU")) <= index:
            raise DeviceMissing(
                "TensorFlow lists no such GPU",
                where=f"tensorflow on {self.device}",
                hint="TensorFlow 2.21 wants CUDA 12: pip install 'tensorflow[and-cuda]' in an environment of its own.",
            )
        self._place = "/CPU:0" if kind == "cpu" else f"/GPU:{index}"
        self.runtime = f"tensorflow {tf.__version__}"
        self.ran_on = "cpu" if kind == "cpu" else f"cuda:{index}"
        return tf

    def prepare(self, inputs: Arrays) -> Any:
        with self._tf.device(self._place):
            names = arguments_of(self.function, self.signature)
            return {names[name]: self._tf.convert_to_tensor(array) for name, array in inputs.items()}

    def invoke(self, feed: Any) -> Any:
        with self._tf.device(self._place):
            return self.function(**feed)

    def fetch(self, outputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        missing = [name for name in self.signature.output_names if name not in outputs]
        if missing:
            raise BadInput(f"the model did not return the output '{missing[0]}'", where=str(self.path))
        self._prove_device(outputs)
        return {name: outputs[name].numpy() for name in self.signature.output_names}

    def _prove_device(self, outputs: Any) -> None:
        """The device that holds the outputs, read back from the tensors themselves."""
        for tensor in outputs.values():
            found = tensor.backing_device
            if self.ran_on.startswith("cuda") and "GPU" not in found:
                raise DeviceMissing(f"an output came back from {found}", where=f"tensorflow on {self.device}")

    def synchronize(self) -> None:
        if self.ran_on != "cpu":
            self._tf.test.experimental.sync_devices()


class SavedModelRunner(TensorFlowRunner):
    """One SavedModel folder, called through `serving_default`."""

    def __enter__(self) -> Self:
        tf = self._enter_tensorflow()
        try:
            with tf.device(self._place):
                self._model = tf.saved_model.load(str(self.path))
        except Exception as error:
            raise BadInput(
                f"TensorFlow cannot open it ({said(error)})",
                where=str(self.path),
                hint="The folder is incomplete or damaged; export or copy it again.",
            ) from error
        self.function = self._chosen(tf)
        extra = self.path / "assets.extra" / metadata.FILE
        declared = metadata.loads(extra.read_text("utf-8") if extra.is_file() else None)
        self.signature, self.contract = declared or (signature_of(self.function), Contract())
        return self

    def _chosen(self, _tf: Any) -> Any:
        """Which of the file's functions is called."""
        if SERVING not in self._model.signatures:
            raise BadInput(f"the SavedModel has no signature '{SERVING}'", where=str(self.path))
        return self._model.signatures[SERVING]


def import_tensorflow(threads: int | None = None) -> Any:
    """TensorFlow with its thread pools pinned, which it allows only before its first operation.

    A worker has pinned them already, through the environment that TensorFlow reads when it starts its pools.
    """
    import tensorflow as tf

    pinned = (
        int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0")) or tf.config.threading.get_intra_op_parallelism_threads()
    )
    if threads and pinned != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError as error:
            raise BadInput(
                "TensorFlow has started with another number of threads in this process", where="threads"
            ) from error
    return tf


def concrete_function(tf: Any, call: Callable[[dict[str, Any]], dict[str, Any]], inputs: Signature) -> Any:
    """`call` as one graph for every size of its dynamic dimensions: keyword tensors in, a dict of tensors out.

    AutoGraph stays off: what `call` does of its own is plain Python, and a user's model in it brings a tf.function.
    The keywords are identifiers; `arguments_of` says which is whose.
    """
    names = identifiers(inputs.input_names)
    specs = {
        names[spec.name]: tf.TensorSpec([None if isinstance(dim, str) else dim for dim in spec.shape], spec.dtype)
        for spec in inputs.inputs
    }

    def by_keyword(**feed: Any) -> Any:
        return call({name: feed[keyword] for name, keyword in names.items()})

    return tf.function(by_keyword, autograph=False).get_concrete_function(**specs)


def arguments_of(function: Any, signature: Signature) -> dict[str, str]:
    """The keyword of a concrete function that takes each input: its name, or the identifier that stands for it."""
    _, keywords = function.structured_input_signature
    names = identifiers(signature.input_names)
    return {name: name if name in keywords else names[name] for name in signature.input_names}


def signature_of(function: Any) -> Signature:
    """The signature of a concrete function: keyword inputs by name, outputs by key, unknown sizes named.

    All unknown first dimensions are one batch; TensorFlow does not say whether other unknown sizes belong together.
    """
    _, keywords = function.structured_input_signature
    return Signature(
        tuple(spec_of(name, spec) for name, spec in keywords.items()),
        tuple(spec_of(name, spec) for name, spec in function.structured_outputs.items()),
    )


def spec_of(name: str, spec: Any) -> TensorSpec:
    """A tf.TensorSpec, symbolic tensor or KerasTensor as ours, under the given name."""
    if getattr(spec.shape, "rank", len(spec.shape) if spec.shape is not None else None) is None:
        raise BadInput("its rank is unknown", where=f"'{name}'", hint="Give its shape with --input.")
    dtype = spec.dtype if isinstance(spec.dtype, str) else spec.dtype.name
    shape: list[Dim] = [
        int(size) if size is not None else ("batch" if axis == 0 else f"{name}_{axis}")
        for axis, size in enumerate(spec.shape)
    ]
    return TensorSpec(name, dtype, tuple(shape))

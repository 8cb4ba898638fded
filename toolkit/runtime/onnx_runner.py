"""ONNX files through ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from toolkit import metadata
from toolkit.causes import said
from toolkit.contract import Contract
from toolkit.errors import BadInput, DeviceMissing
from toolkit.runtime import devices
from toolkit.runtime.runner import Arrays, Runner
from toolkit.signature import Dim, Signature, TensorSpec

if TYPE_CHECKING:
    import numpy as np

_DTYPES = {"float": "float32", "double": "float64"}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_QUIET = 4  # ONNX Runtime's own logger: fatal errors only; everything else reaches the user as an exception


class OnnxRunner(Runner):
    """One ONNX file in an ONNX Runtime session of default optimisation, as an app would open it."""

    def __init__(
        self, path: Path, *, device: str = "cpu", threads: int | None = None, without: tuple[str, ...] = ()
    ) -> None:
        """`without` names optimizations of ONNX Runtime's that are left out: those that it would die of."""
        self.path = path
        self._without = list(without)
        self.device = device
        self.threads = threads
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        import onnxruntime

        self._kind, self._index = devices.require("onnxruntime", self.device)
        onnxruntime.set_default_logger_severity(_QUIET)
        self._session = self._open(onnxruntime)
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        self.ran_on = self._read_back_device()
        declared = metadata.loads(self._session.get_modelmeta().custom_metadata_map.get(metadata.KEY))
        self.signature, self.contract = declared or (_signature(self._session), Contract())
        self._names = [output.name for output in self._session.get_outputs()]
        self._value = onnxruntime.OrtValue
        return self

    def __exit__(self, *_: object) -> None:
        del self._session

    def _open(self, onnxruntime: Any) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        if self.threads:
            options.intra_op_num_threads = options.inter_op_num_threads = self.threads
        provider: Any = _PROVIDERS[self._kind]
        if self._kind == "cuda":
            # No node may quietly run on the CPU; and strict float32, as on every other side of the comparison.
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            provider = (provider, {"device_id": str(self._index), "use_tf32": "0"})
        try:
            return onnxruntime.InferenceSession(
                str(self.path), options, providers=[provider], disabled_optimizers=self._without
            )
        except Exception as error:
            raise BadInput(
                f"ONNX Runtime cannot open it ({said(error)})",
                where=str(self.path),
                hint="Check that the file is whole; `toolkit inspect` shows what is in it.",
            ) from error

    def _read_back_device(self) -> str:
        """The provider that the session really has; what was asked for proves nothing."""
        first = self._session.get_providers()[0]
        if first != _PROVIDERS[self._kind]:
            raise DeviceMissing(f"the session runs on {first}", where=f"onnxruntime on {self.device}")
        return "cpu" if self._kind == "cpu" else f"cuda:{self._index}"

    def prepare(self, inputs: Arrays) -> Any:
        if self._kind == "cpu":
            return dict(inputs)
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, self._value.ortvalue_from_numpy(array, "cuda", self._index))
        for name in self._names:
            binding.bind_output(name, "cuda", self._index)
        return binding

    def invoke(self, feed: Any) -> Any:
        if self._kind == "cpu":
            return self._session.run(self._names, feed)
        self._session.run_with_iobinding(feed)
        return feed

    def fetch(self, outputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        arrays = outputs if self._kind == "cpu" else outputs.copy_outputs_to_cpu()
        return dict(zip(self._names, arrays, strict=True))


def _signature(session: Any) -> Signature:
    """The signature of a file that carries none of ours: ONNX's own, with a name for every dimension that varies."""
    return Signature(
        tuple(_spec(value) for value in session.get_inputs()), tuple(_spec(value) for value in session.get_outputs())
    )


def _spec(value: Any) -> TensorSpec:
    element = value.type.removeprefix("tensor(").removesuffix(")")
    shape: list[Dim] = [
        dim if isinstance(dim, int) else dim or f"{value.name}_{axis}" for axis, dim in enumerate(value.shape)
    ]
    return TensorSpec(value.name, _DTYPES.get(element, element), tuple(shape))

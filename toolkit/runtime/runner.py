"""The one way in which a model is run, whatever its framework: opened on a device, fed arrays by name, read by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np

from toolkit.contract import Contract
from toolkit.errors import BadInput
from toolkit.signature import Signature, TensorSpec

Arrays = Mapping[str, np.ndarray[Any, Any]]


class Runner(ABC):
    """One model on one device. A context manager: no device is touched, and no framework imported, before entry.

    `run` is `fetch(invoke(prepare(inputs)))`; the three steps are apart so that a latency can be measured around
    `invoke` and `synchronize` alone, with the copies to and from the device outside.
    """

    #: What the verdict table prints, for instance "torch 2.13.0"; set on entry.
    runtime: str
    #: Where the model really ran, read back from the runtime, for instance "cpu" or "cuda:0 NVIDIA H100"; set on entry.
    ran_on: str
    signature: Signature
    contract: Contract
    #: False where the file does not name its outputs: then they are compared by position, and the report says so.
    names_are_declared: bool = True
    #: What the user should know of how the model was opened, in words; may grow on entry.
    notes: list[str]
    #: Example inputs by name, where some came with the model: values that it is known to take.
    given: Arrays = MappingProxyType({})

    @abstractmethod
    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the model; overridden where the runtime holds more than Python objects."""

    @abstractmethod
    def prepare(self, inputs: Arrays) -> Any:
        """Arrays by name -> what the runtime is called with, on its device."""

    @abstractmethod
    def invoke(self, feed: Any) -> Any:
        """One forward pass; may return before the device is done."""

    @abstractmethod
    def fetch(self, outputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        """The runtime's outputs -> arrays by name, in the host's memory."""

    def synchronize(self) -> None:
        """Wait until the device is done; nothing to wait for on a CPU."""

    def run(self, inputs: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """Predict: arrays by name -> arrays by name. Raises BadInput for a wrong name, dtype or shape."""
        check_inputs(self.signature, inputs)
        outputs = self.invoke(self.prepare({name: _native(array) for name, array in inputs.items()}))
        self.synchronize()
        return self.fetch(outputs)


def _native(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same values in this machine's byte order: a runtime would take another one's bytes as they are."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_inputs(signature: Signature, inputs: Arrays) -> None:
    """Raise BadInput where the arrays do not fit the signature: no cast, no broadcast, no guess."""
    missing = [name for name in signature.input_names if name not in inputs]
    extra = [name for name in inputs if name not in signature.input_names]
    if missing or extra:
        raise BadInput(
            f"the model takes the inputs {_quoted(signature.input_names)} and was given {_quoted(tuple(inputs))}",
            where="inputs",
        )
    sizes: dict[str, int] = {}
    for spec in signature.inputs:
        _check_one(spec, inputs[spec.name], sizes)


def _check_one(spec: TensorSpec, array: np.ndarray[Any, Any], sizes: dict[str, int]) -> None:
    if not isinstance(array, np.ndarray):
        raise BadInput(
            f"it is a {type(array).__name__}, not a NumPy array",
            where=f"input '{spec.name}'",
            hint=f"Convert it: numpy.asarray(value, '{spec.dtype}').",
        )
    dtype = array.dtype.name if array.dtype.kind not in "OSUT" else "string"
    if dtype != spec.dtype:
        raise BadInput(
            f"its dtype is {dtype}, the model takes {spec.dtype}",
            where=f"input '{spec.name}'",
            hint=f"Convert it: array.astype('{spec.dtype}').",
        )
    fits = len(array.shape) == len(spec.shape)
    for size, dim in zip(array.shape, spec.shape, strict=False):
        fits = fits and (sizes.setdefault(dim, size) if isinstance(dim, str) else dim) == size
    if not fits:
        raise BadInput(
            f"its shape is {list(array.shape)}, the model takes [{', '.join(map(str, spec.shape))}]",
            where=f"input '{spec.name}'",
        )


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"

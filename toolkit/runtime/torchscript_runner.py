"""TorchScript files through PyTorch."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from toolkit import metadata
from toolkit.causes import said
from toolkit.contract import Contract
from toolkit.errors import BadInput, RuntimeMissing
from toolkit.runtime import devices
from toolkit.runtime.runner import Arrays, Runner
from toolkit.signature import Signature, TensorSpec, flatten, leaves

if TYPE_CHECKING:
    import numpy as np


class TorchRunner(Runner):
    """What every PyTorch model shares: tensors in, tensors out, on one device. `self.module` is set on entry."""

    module: Any

    def __init__(self, *, device: str = "cpu", threads: int | None = None) -> None:
        self.device = device
        self.threads = threads
        self.notes: list[str] = []

    def _enter_torch(self) -> Any:
        """Import PyTorch, prove the device and pin the threads; returns the torch.device."""
        import torch

        self._torch = torch
        self._kind, self._index = devices.require("torch", self.device)
        if self.threads:
            torch.set_num_threads(self.threads)
        self.runtime = f"torch {torch.__version__.partition('+')[0]}"
        self.ran_on = self._kind if self._kind == "cpu" else f"cuda:{self._index}"
        return torch.device(self.ran_on)

    def prepare(self, inputs: Arrays) -> Any:
        values = {name: to_tensor(self._torch, array, self.ran_on) for name, array in inputs.items()}
        return arguments(self.signature, values)

    def invoke(self, feed: Any) -> Any:
        args, kwargs = feed
        with self._torch.inference_mode():
            return self.module(*args, **kwargs)

    def fetch(self, outputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        return fetch_outputs(self.signature, outputs)

    def synchronize(self) -> None:
        if self._kind == "cuda":
            self._torch.cuda.synchronize(self._index)


class TorchScriptRunner(TorchRunner):
    """One TorchScript file. Where it carries no signature of ours, inputs are positional and outputs unnamed."""

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        super().__init__(device=device, threads=threads)
        self.path = path

    def __enter__(self) -> Self:
        place = self._enter_torch()
        extra = {metadata.FILE: ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # said once by `export`, not by every use
            try:
                self.module = self._load(place, extra)
            except RuntimeMissing:
                raise
            except Exception as error:
                raise BadInput(
                    f"PyTorch cannot open it as TorchScript ({said(error)})",
                    where=str(self.path),
                    hint="It is truncated, damaged, or another kind of .pt file; export or copy it again.",
                ) from error
        self.was_training = bool(self.module.training)
        self.module.eval()
        declared = metadata.loads(extra[metadata.FILE])
        self.names_are_declared = declared is not None
        self.signature, self.contract = declared or (Signature((), ()), Contract())
        return self

    def _load(self, place: Any, extra: dict[str, str]) -> Any:
        """The module. Where it is made of torchvision's own operators, they are there once that package is imported."""
        try:
            return self._torch.jit.load(str(self.path), map_location=place, _extra_files=extra)
        except RuntimeError as error:
            operator = re.search(r"torchvision::\w+", str(error))
            if operator is None or "torchvision" in sys.modules:
                raise
            try:
                importlib.import_module("torchvision")
            except ImportError:
                raise RuntimeMissing(
                    f"the operator {operator[0]} is of the package 'torchvision', which is not installed",
                    where=str(self.path),
                    hint="pip install torchvision",
                ) from error
        return self._torch.jit.load(str(self.path), map_location=place, _extra_files=extra)


def to_tensor(torch: Any, array: np.ndarray[Any, Any], device: str) -> Any:
    """A tensor on the device that shares no memory with a read-only array."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view("int16").copy()).view(torch.bfloat16).to(device)
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor.to(device)


def to_array(tensor: Any) -> np.ndarray[Any, Any]:
    """The tensor's values in the host's memory; bfloat16 as NumPy's extension type."""
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        import ml_dtypes

        view: np.ndarray[Any, Any] = tensor.view(dtype=_torch_int16(tensor)).numpy().view(ml_dtypes.bfloat16)
        return view
    array: np.ndarray[Any, Any] = tensor.numpy()
    return array


def _torch_int16(tensor: Any) -> Any:
    import torch

    assert isinstance(tensor, torch.Tensor)
    return torch.int16


def arguments(signature: Signature, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Named values -> the positional and keyword arguments that the signature's nesting asks for."""
    from toolkit.signature import unflatten

    nested = unflatten(signature.input_structure, values)
    if isinstance(nested, tuple):
        return nested, {}
    return ((), nested) if isinstance(nested, dict) else ((nested,), {})


def fetch_outputs(signature: Signature, outputs: Any) -> dict[str, np.ndarray[Any, Any]]:
    """A module's nested outputs -> arrays by the signature's names, in its order.

    A file without a signature gets names by position, "output" or "output_0", "output_1" ...
    """
    import torch

    structure, flat = flatten(outputs, "output", is_leaf=lambda value: isinstance(value, torch.Tensor))
    tensors = [flat[path] for path in leaves(structure)]
    names = tuple(leaves(signature.output_structure)) if signature.outputs else tuple(leaves(structure))
    if len(names) != len(tensors):
        raise BadInput(f"the model returned {len(tensors)} tensors, its signature declares {len(names)}: {names}")
    arrays = {name: to_array(tensor) for name, tensor in zip(names, tensors, strict=True)}
    order = signature.output_names or names
    return {name: arrays[name] for name in order}


def spec_of(name: str, tensor: Any) -> TensorSpec:
    """The spec of a concrete tensor."""
    return TensorSpec(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))

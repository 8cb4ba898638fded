"""A worker whose ONNX runner lies, crashes or hangs: the part of the file's name before ".onnx" says how.

`python -P lying_worker.py` speaks the real protocol and runs the real tasks; only the runner is another one. A first
argument makes the worker itself misbehave before any call.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from toolkit import formats
from toolkit.errors import DeviceMissing
from toolkit.runtime.onnx_runner import OnnxRunner
from toolkit.worker import server

Outputs = dict[str, Any]


class LyingRunner(OnnxRunner):
    """The real runner, and after it the lie."""

    def __enter__(self) -> Self:
        self.lie = self.path.stem
        self.asked, self.device = self.device, "cpu"
        super().__enter__()
        if self.lie in ON_OPEN:
            ON_OPEN[self.lie](self)
        return self

    def fetch(self, outputs: Any) -> Outputs:
        arrays = super().fetch(outputs)
        return IN_RUN[self.lie](arrays) if self.lie in IN_RUN else arrays


def _kill(_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def _eat(_: Any) -> Any:
    held = []
    while True:
        held.append(b"x" * 50_000_000)
        time.sleep(0.01)


def _sleep(_: Any) -> Any:
    time.sleep(600)


def _claim_cuda(runner: LyingRunner) -> None:
    runner.ran_on = "cuda:0"


def _no_device(runner: LyingRunner) -> None:
    raise DeviceMissing("libcublasLt.so.13 missing", where=f"onnxruntime on {runner.asked}")


def _raise(_: Any) -> Any:
    raise ValueError("kernel not found")


def _garbage(_: Any) -> Any:
    for descriptor in range(3, 20):  # whichever of them is the pipe to the parent
        try:
            os.write(descriptor, b"\x00" * 4 + b"not a message" * 40)
        except OSError:
            continue
    time.sleep(60)


_seen: list[Outputs] = []


def _remember_first(arrays: Outputs) -> Outputs:
    """The answer to the first input for every input after it, cut or repeated to its size."""
    _seen.append(arrays)
    return {name: _seen[0][name][:1].repeat(len(array), axis=0) for name, array in arrays.items()}


def _drift(arrays: Outputs) -> Outputs:
    """Right at first, and less and less so."""
    _seen.append(arrays)
    return {name: array + array.dtype.type(1e-5 * len(_seen)) for name, array in arrays.items()}


ON_OPEN: dict[str, Callable[[LyingRunner], Any]] = {
    "crash_at_open": _kill,
    "claims_cuda": _claim_cuda,
    "claims_cuda_kindly": _claim_cuda,
    "no_device": _no_device,
    "exit_at_open": lambda _: os._exit(0),
    "hang_at_open": _sleep,
}
IN_RUN: dict[str, Callable[[Outputs], Outputs]] = {
    "crash": _kill,
    "exit_0": lambda _: os._exit(0),
    "hang": _sleep,
    "eat_memory": _eat,
    "raise": _raise,
    "garbage": _garbage,
    "remember_first": _remember_first,
    "drift": _drift,
    "forget_output": lambda arrays: {name: arrays[name] for name in list(arrays)[1:]},
    "no_output": lambda _: {},
    "extra_output": lambda arrays: {**arrays, "more": arrays["logits"]},
    "lists": lambda arrays: {name: array.tolist() for name, array in arrays.items()},
    "object_output": lambda arrays: {name: array.astype(object) for name, array in arrays.items()},
    "float16_output": lambda arrays: {name: array.astype("float16") for name, array in arrays.items()},
}


def main() -> None:
    formats.FORMATS["onnx"] = replace(formats.FORMATS["onnx"], runner="__main__:LyingRunner")
    if "garbage" in sys.argv:
        os.write(1, b"Welcome to this machine!\n" * 10)
        time.sleep(60)
    if "exit" in sys.argv:
        raise SystemExit(3)
    server.main()


if __name__ == "__main__":
    main()

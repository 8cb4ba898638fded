"""The two sides of a comparison, as the verifier sees them: handles to models that are open in workers.

A side runs a plan, runs it again in float64, lists its weights and times its calls, wherever its worker is. A bundle's
golden data is a reference side without a worker: it answers from what the source said when it was exported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from exporters.precision.kinds import FULL
from exporters.sources.source import Source
from exporters.sources.vocabularies import Vocabulary
from toolkit import formats, safety
from toolkit.bench.latency import Timed
from toolkit.contract import Contract
from toolkit.signature import Signature
from toolkit.verification.plan import Batch
from toolkit.verification.weights import Fingerprint
from toolkit.worker.pool import Caller, WorkerPool

Array = np.ndarray[Any, Any]
Outputs = list[dict[str, Array]]

_TASKS = "toolkit.verification.tasks"
_BFLOAT16 = "bfloat16"


@dataclass
class Side:
    """One opened model; closes what it opened."""

    worker: Caller
    handle: str
    signature: Signature
    contract: Contract
    runtime: str
    ran_on: str
    names_are_declared: bool = True
    cold_start: float = 0.0
    was_training: bool = False
    notes: tuple[str, ...] = ()
    ranges: Mapping[str, int] = field(default_factory=dict)  # of an integer input: 0 up to, and without, this
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)  # what it looks up, by input
    given: Mapping[str, Array] = field(default_factory=dict)  # example inputs that came with the model
    handles: list[tuple[Caller, str]] = field(default_factory=list)
    float64: tuple[Caller, str] | None = None
    truth: str = ""  # how `float64` was made, in words
    truth_in_float64: bool = True
    prints: list[Fingerprint] | None = None
    is_plain: bool = False  # whether it is seen to compute in float32 or more all through
    own_precision: str = FULL  # in which the model itself computes, between float32 inputs and outputs

    @property
    def known(self) -> dict[str, Array]:
        """Values that its inputs may have: those that it looks up, and those of the examples that came with it."""
        return {name: vocabulary.array for name, vocabulary in self.vocabularies.items()} | dict(self.given)

    def run(self, batches: Sequence[Batch]) -> Outputs:
        return self._run(self.worker, self.handle, batches)

    def _taken(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs as this model takes them."""
        return dict(inputs)

    def _run(self, worker: Caller, handle: str, batches: Sequence[Batch]) -> Outputs:
        inputs = [self._taken(batch.inputs) for batch in batches]
        outputs: Outputs = worker.call(f"{_TASKS}:run", {"handle": handle, "batches": inputs})
        return outputs

    def run_float64(self, batches: Sequence[Batch]) -> Outputs:
        """Raises Inconclusive (or whatever the framework raised) where the model has no float64 form."""
        assert self.float64 is not None
        return self._run(*self.float64, batches)

    def prepare_float64(self, like: Mapping[str, Array] | None = None, *, few_bits: bool | None = None) -> None:
        """Open the model in float64, in the same worker; `like` are inputs that it takes, if not its own.

        `few_bits` says whether it may compute in fewer bits than float32's: then these are widened too. Left out, it
        may where its weights or its interface say so.
        """
        params = {"handle": self.handle, "like": self._taken(like or self.given), "few_bits": few_bits}
        opened = self.worker.call(f"{_TASKS}:open_float64", params)
        self._remember(self.worker, opened)
        self.truth_in_float64 = opened["exact"]
        self.own_precision = opened["precision"]
        self.is_plain = opened["plain"]

    def prepare_estimate(self) -> None:
        """Where the model has no float64 form: what stands for the truth then. Raises Inconclusive without one."""
        self._remember(self.worker, self.worker.call(f"{_TASKS}:open_estimate", {"handle": self.handle}))
        self.truth_in_float64 = False

    def _remember(self, worker: Caller, opened: Mapping[str, Any]) -> None:
        self.float64 = (worker, opened["handle"])
        self.handles.append(self.float64)
        self.truth = str(opened["how"])

    def run_moved(self, batches: Sequence[Batch], known: Sequence[Fingerprint]) -> Outputs:
        """In float64, with every constant that is not one of those weights moved by 1 ULP."""
        worker, handle = self._moved([(item.size, item.hash) for item in known])
        self.handles.append((worker, handle))
        return self._run(worker, handle, batches)

    def _moved(self, known: list[tuple[int, int]]) -> tuple[Caller, str]:
        return self.worker, self.worker.call(f"{_TASKS}:open_moved", {"handle": self.handle, "known": known})

    def is_open(self) -> bool:
        """Whether its worker still knows the model; another file may have brought the worker down."""
        known: bool = self.worker.call(f"{_TASKS}:is_open", {"handle": self.handle})
        return known

    def maps_cuda(self) -> bool | None:
        """Whether its process has NVIDIA's driver library in memory; None where that cannot be seen."""
        found: bool | None = self.worker.call(f"{_TASKS}:maps_cuda", {})
        return found

    def fingerprints(self) -> list[Fingerprint]:
        """Of all its float tensors; computed once."""
        if self.prints is None:
            found = self.worker.call(f"{_TASKS}:fingerprints", {"handle": self.handle})
            self.prints = [Fingerprint(**item) for item in found]
        return self.prints

    def weights(self, names: Sequence[str]) -> dict[str, Array]:
        fetched: dict[str, Array] = self.worker.call(f"{_TASKS}:weights", {"handle": self.handle, "names": list(names)})
        return fetched

    def timer(self, inputs: Mapping[str, Array]) -> Callable[[int], Timed]:
        """A function that makes that many calls on these inputs and returns their times."""

        def time_calls(calls: int) -> Timed:
            params = {"handle": self.handle, "inputs": self._taken(inputs), "calls": calls}
            taken = self.worker.call(f"{_TASKS}:time_calls", params)
            return Timed(taken["nanoseconds"], taken["cpu"] if self.ran_on == "cpu" else None)

        return time_calls

    def close(self) -> None:
        for worker, handle in [*self.handles, (self.worker, self.handle)]:
            worker.call(f"{_TASKS}:close", {"handles": [handle]})


def _as_bfloat16(array: Array) -> Array:
    import ml_dtypes

    return array.astype(ml_dtypes.bfloat16)


class FileSide(Side):
    """An exported file on one device. ONNX has its float64 form in the torch worker, rebuilt by our importer."""

    path: Path
    format: str
    pool: WorkerPool
    source: Signature | None = None  # of the model that it was made from

    def run(self, batches: Sequence[Batch]) -> Outputs:
        """Outputs that the source has in bfloat16, and this format cannot, come back rounded to it."""
        wanted = {spec.name for spec in self.source.outputs if spec.dtype == _BFLOAT16} if self.source else set()
        declared = {spec.name for spec in self.signature.outputs if spec.dtype == "float32"}
        return [
            {name: _as_bfloat16(array) if name in wanted & declared else array for name, array in outputs.items()}
            for outputs in super().run(batches)
        ]

    def _taken(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs in bfloat16 as float32, where the format has no other."""
        wide = {spec.name for spec in self.signature.inputs if spec.dtype == "float32"}
        return {
            name: array.astype(np.float32) if name in wide and array.dtype.name == _BFLOAT16 else array
            for name, array in inputs.items()
        }

    def prepare_float64(self, like: Mapping[str, Array] | None = None, *, few_bits: bool | None = None) -> None:
        if self.format != "onnx":
            super().prepare_float64(like, few_bits=few_bits)
            return
        worker = self.pool.worker("torch", "cpu")
        params = {**self._described(), "like": self._taken(like or self.given), "few_bits": few_bits}
        opened = worker.call(f"{_TASKS}:open_onnx_float64", params)
        self._remember(worker, opened)
        self.own_precision = opened["precision"]

    def _moved(self, known: list[tuple[int, int]]) -> tuple[Caller, str]:
        if self.format != "onnx":
            return super()._moved(known)
        worker = self.pool.worker("torch", "cpu")
        return worker, worker.call(f"{_TASKS}:open_onnx_moved", {**self._described(), "known": known})

    def _described(self) -> dict[str, Any]:
        """What the torch worker rebuilds an ONNX file from."""
        params: dict[str, Any] = {"path": str(self.path.absolute()), "signature": self.signature.to_json()}
        if self.contract.pipeline is not None and self.contract.baked:
            params["pipeline"] = self.contract.pipeline.to_json()
        return params


def open_file(
    pool: WorkerPool, path: Path, device: str, source: Signature, trust: Sequence[str] | None = ()
) -> FileSide:
    """Open an exported file in the worker of its runtime and device; a file without a signature gets the source's.

    Raises UnsafeFile for one that may do more than compute, unless `trust` allows it; None allows what we wrote.
    """
    form = formats.of_path(path)
    if trust is not None:
        safety.require(path, form.name, trust)
    worker = pool.worker(form.runtime, device)
    params = {"format": form.name, "path": str(path.absolute()), "device": device, "threads": pool.limits.threads}
    opened = worker.call(f"{_TASKS}:open_file", params)
    signature = Signature.from_json(opened["signature"])
    if not opened["names_are_declared"]:
        signature = Signature(source.inputs, source.outputs, limits=source.limits, multiples=source.multiples)
        worker.call(f"{_TASKS}:adopt_signature", {"handle": opened["handle"], "signature": signature.to_json()})
    side = FileSide(
        worker,
        opened["handle"],
        signature,
        Contract(),
        opened["runtime"],
        opened["ran_on"],
        names_are_declared=opened["names_are_declared"],
        cold_start=opened["seconds"],
    )
    side.path, side.format, side.pool, side.source = path, form.name, pool, source
    return side


def open_source(pool: WorkerPool, source: Source, model: Any = None, device: str = "cpu") -> Side:
    """Open a source in its worker, or in this process where it is an object of the caller's."""
    from toolkit.worker.pool import Here

    worker: Caller = Here(source.runtime) if model is not None else pool.worker(source.runtime, device)
    params: dict[str, Any] = {
        "source": source.to_json(),
        "device": device,
        "threads": pool.limits.threads if model is None else None,
    }
    if model is not None:
        params["model"] = model
    opened = worker.call("exporters.tasks:open_source", params)
    side = OnnxSource if source.kind == "onnx" else Side
    opened_side = side(
        worker,
        opened["handle"],
        Signature.from_json(opened["signature"]),
        Contract.from_json(opened["contract"]),
        opened["runtime"],
        opened["ran_on"],
        was_training=opened["was_training"],
        notes=tuple(opened["notes"]),
        ranges=opened["ranges"],
        vocabularies={name: Vocabulary.from_json(data) for name, data in opened["vocabularies"].items()},
        given=opened["given"],
    )
    if isinstance(opened_side, OnnxSource):
        opened_side.path, opened_side.format, opened_side.pool = Path(str(source.path)), "onnx", pool
    return opened_side


class OnnxSource(FileSide):
    """An ONNX file as a source: it runs in ONNX Runtime, and its truth is computed like any ONNX file's."""

    def run_in_steps(self, batches: Sequence[Batch]) -> Outputs | None:
        """What a quantised graph gives in PyTorch in float32, and a graph of few bits with every result rounded to
        them; None for any other graph.
        """
        worker = self.pool.worker("torch", "cpu")
        handles = self._opened_in_steps(worker)
        if not handles:
            return None
        try:
            return self._run(worker, handles[0], batches)
        finally:
            worker.call(f"{_TASKS}:close", {"handles": handles})

    def _opened_in_steps(self, worker: Caller) -> list[str]:
        params = self._described()
        if self.own_precision == FULL:
            handle = worker.call(f"{_TASKS}:open_in_steps", params)
            return [handle] if handle else []
        if "pipeline" in params:
            return []
        opened = worker.call("exporters.precision.tasks:open_rounded", {**params, "precision": self.own_precision})
        return [opened["rounded"], opened["exact"]]

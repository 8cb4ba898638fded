"""A model in a worker that looks like one in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from toolkit.contract import Contract
from toolkit.runtime.runner import Arrays, Runner, check_inputs
from toolkit.signature import Signature

if TYPE_CHECKING:
    import numpy as np

    from toolkit.worker.client import Worker


class RemoteRunner(Runner):
    """Opens a model by `task` in a worker, and runs it there; copies are part of every call."""

    def __init__(self, worker: Worker, task: str, params: Mapping[str, Any]) -> None:
        self._worker = worker
        self._open = (task, params)

    def __enter__(self) -> Self:
        opened = self._worker.call(*self._open)
        self._handle = opened["handle"]
        self.signature = Signature.from_json(opened["signature"])
        self.contract = Contract.from_json(opened["contract"])
        self.runtime, self.ran_on = opened["runtime"], opened["ran_on"]
        return self

    def prepare(self, inputs: Arrays) -> Any:
        check_inputs(self.signature, inputs)
        return dict(inputs)

    def invoke(self, feed: Any) -> Any:
        params = {"handle": self._handle, "batches": [feed]}
        return self._worker.call("toolkit.verification.tasks:run", params)[0]

    def fetch(self, outputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        return dict(outputs)

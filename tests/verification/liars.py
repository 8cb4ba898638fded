"""Open a model once, export it correctly, and put any number of files beside it to the verdict.

Shared by the tests and by benchmarks/liars.py. A `Bench` holds one source in a pool of real workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exporters.options import ExportOptions
from exporters.sources import source as sources
from toolkit.verification import verifier
from toolkit.verification.report import Row
from toolkit.verification.sides import Side, open_source
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

ROOT = Path(__file__).resolve().parents[2]
DYNAMO, OLDER = "torch.onnx (torch.export-based)", "torch.onnx (TorchScript-based, traced)"
SCRIPT, TRACE = "torch.jit.script", "torch.jit.trace"
COUNT = 96


@dataclass
class Bench:
    """One opened source, its answers, and where files are written."""

    pool: WorkerPool
    kind: str
    subject: verifier.Subject
    settings: verifier.Settings
    folder: Path

    @property
    def side(self) -> Side:
        """The opened source; another one after its worker had to be replaced."""
        self.subject.revive(self.pool)
        assert self.subject.side is not None
        return self.subject.side

    def write(self, name: str, to: str, strategy: str, *, variant: str | None = None, opset: int = 18) -> Path:
        """Export the source, or its variant of that name, and return the file."""
        path = self.folder / name
        side = self.side if variant is None else open_source(self.pool, source_of(f"{self.kind}__{variant}"))
        params = {"handle": side.handle, "to": to, "strategy": strategy, "path": str(path)}
        done = side.worker.call("exporters.tasks:write", {**params, "options": ExportOptions(opset=opset).to_json()})
        if variant is not None:
            side.close()
        assert done["written"], done["why"]
        return path

    def rebuild(self, name: str, to: str, onnx: Path) -> Path:
        """Export through the hub, from an ONNX file."""
        path = self.folder / name
        signature, contract = self.side.signature.to_json(), self.side.contract.to_json()
        params = {"onnx_path": str(onnx), "to": to, "path": str(path), "signature": signature, "contract": contract,
                  "options": ExportOptions().to_json()}  # fmt: skip
        self.pool.worker({"torchscript": "torch"}.get(to, "tensorflow")).call("exporters.tasks:write_from_onnx", params)
        return path

    def verdict(self, path: Path, pool: WorkerPool | None = None, **changed: Any) -> Row:
        return self.verdicts([path], pool, **changed)[0]

    def verdicts(self, paths: Sequence[Path], pool: WorkerPool | None = None, **changed: Any) -> tuple[Row, ...]:
        settings = verifier.Settings(**{**vars(self.settings), **changed})
        return verifier.compare_files(pool or self.pool, self.subject, paths, settings).rows


def source_of(factory: str) -> sources.Source:
    inputs = ["x:float32[N,16]"] if factory.startswith("renamed_batch") else []
    return sources.resolve(f"tests.verification.models:{factory}", inputs=inputs, search=[str(ROOT)])


def workers(threads: int = 1) -> WorkerPool:
    """A pool whose workers have one thread each unless told otherwise: the models here are too small for more."""
    return WorkerPool(limits=Limits(threads=threads))


def opened(pool: WorkerPool, kind: str, folder: Path, *, count: int = COUNT) -> Bench:
    """A bench for one of the models in models.py."""
    settings = verifier.Settings(count=count, latency=False)
    resolved = source_of(kind)
    side = open_source(pool, resolved)
    subject = verifier.subject_of(pool, side, resolved, _data(kind, folder), settings)
    return Bench(pool, kind, subject, settings, folder)


def _data(kind: str, folder: Path) -> Path | None:
    """Word numbers have a range that no signature tells."""
    if not kind.startswith("recurrent"):
        return None
    path = folder / "words.npz"
    np.savez(path, words=np.random.default_rng(0).integers(0, 12, (60, 5)))
    return path


def optimised(onnx: Path, target: Path, level: str) -> Path:
    """The file as ONNX Runtime rewrites it at an optimisation level, with BatchNormalization folded and all."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])
    return target

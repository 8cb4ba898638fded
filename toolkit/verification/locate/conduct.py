"""Bring both sides of a failed comparison to ONNX and have them compared, operator by operator."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from exporters.options import ExportOptions
from exporters.sources import source as sources
from toolkit.errors import Inconclusive, ToolkitError
from toolkit.verification import compare
from toolkit.verification.divergence import Divergence
from toolkit.verification.plan import Batch
from toolkit.verification.reference import Answers
from toolkit.verification.report import OutputComparison
from toolkit.verification.sides import FileSide, OnnxSource, Side, open_source
from toolkit.worker.pool import WorkerPool

Array = np.ndarray[Any, Any]

ROWS = 8  # of the batch with the worst input
_TASKS = "toolkit.verification.locate.tasks"
_EXPORT = "exporters.tasks"


def locate(
    pool: WorkerPool, source: Side, side: FileSide, answers: Answers, worst: OutputComparison | None
) -> Divergence:
    """Where and why a file parts from its source on its worst input. What could not be found out is said in `cause`."""
    try:
        with tempfile.TemporaryDirectory(prefix="toolkit-locate-") as scratch:
            return _located(pool, source, side, _worst_batch(source, answers, worst), Path(scratch))
    except ToolkitError as error:
        return Divergence(f"where it starts could not be found: {error.found}")


def _located(pool: WorkerPool, source: Side, side: FileSide, batch: Batch, scratch: Path) -> Divergence:
    inputs = dict(batch.inputs)
    said, heard = source.run([batch])[0], side.run([batch])[0]
    ours = Path(side.path) if side.format == "onnx" else file_as_onnx(pool, source, side, scratch / "file.onnx")
    reasons: list[str] = []
    for theirs in source_as_onnx(source, scratch, reasons):
        params = {"source_path": str(theirs.absolute()), "file_path": str(ours.absolute()), "inputs": inputs,
                  "source_outputs": said, "file_outputs": heard}  # fmt: skip
        try:
            found = pool.worker("torch", "cpu").call(f"{_TASKS}:search", params)
        except Inconclusive as error:
            reasons.append(error.found)
            continue
        divergence = Divergence.from_json(found)
        assert divergence is not None
        return _blamed_on_the_runtime(pool, side, inputs, said, divergence)
    raise Inconclusive("; ".join(dict.fromkeys(reasons)) or "the source has no ONNX form")


def _blamed_on_the_runtime(
    pool: WorkerPool, side: FileSide, inputs: Mapping[str, Array], said: Mapping[str, Array], found: Divergence
) -> Divergence:
    """Where the graphs are the same, the runtime errs; of ONNX Runtime it can be told which part of it."""
    if found.operator is not None or side.format != "onnx" or not found.same_graph:
        return found
    params = {"path": str(Path(side.path).absolute()), "inputs": dict(inputs), "expected": dict(said)}
    words = pool.worker("onnxruntime", "cpu").call(f"{_TASKS}:guilty_optimizer", params)["words"]
    return Divergence(words, same_graph=True) if words else found


def _worst_batch(source: Side, answers: Answers, worst: OutputComparison | None) -> Batch:
    """The batch that holds the worst input, cut down to a few rows around it."""
    index = worst.worst_input if worst is not None and worst.worst_input is not None else 0
    spec = source.signature.output(worst.name) if worst is not None else source.signature.outputs[0]
    for batch, outputs in zip(answers.batches, answers.source, strict=True):
        count = len(compare.rows_of(spec, [outputs[spec.name]]))
        if index < count:
            return _cut(batch, source.signature.batched, min(index, max(batch.size - ROWS, 0)), count == batch.size)
        index -= count
    return answers.batches[0]


def _cut(batch: Batch, batched: Any, start: int, by_row: bool) -> Batch:
    if not by_row or batch.size <= ROWS:
        return batch
    rows = slice(start, start + ROWS)
    arrays = {name: array[rows] if name in batched else array for name, array in batch.inputs.items()}
    return Batch(batch.kind, arrays, ROWS)


def source_as_onnx(source: Side, scratch: Path, reasons: list[str]) -> Iterator[Path]:
    """The source's ONNX graphs, by each of its exporters until one does; an ONNX source is its own."""
    if isinstance(source, OnnxSource):
        yield Path(source.path)
        return
    yield from _written(source, scratch, "source", reasons)


def file_as_onnx(pool: WorkerPool, source: Side, side: FileSide, path: Path) -> Path:
    """An exported file, opened as a source and written as ONNX; where it has no signature, it takes the source's."""
    from toolkit.files import digest

    if side.format == "tflite":
        raise Inconclusive("a LiteRT file has no ONNX form")
    signature = side.signature if side.names_are_declared else source.signature
    resolved = sources.resolve(side.path, trust=[digest(Path(side.path))])
    opened = open_source(pool, replace(resolved, signature=signature.to_json()))
    adopted = {"handle": opened.handle, "signature": signature.to_json()}
    opened.worker.call("toolkit.verification.tasks:adopt_signature", adopted)
    reasons: list[str] = []
    try:
        first = next(_written(opened, path.parent, path.stem, reasons), None)
    finally:
        with contextlib.suppress(ToolkitError):
            opened.close()
    if first is None:
        raise Inconclusive(f"the file has no ONNX form ({'; '.join(reasons)})")
    return first


def _written(side: Side, scratch: Path, name: str, reasons: list[str]) -> Iterator[Path]:
    handle = {"handle": side.handle, "to": "onnx"}
    for number, strategy in enumerate(side.worker.call(f"{_EXPORT}:strategies", handle)):
        path = scratch / f"{name}-{number}.onnx"
        params = {
            **handle,
            "strategy": strategy,
            "path": str(path),
            "options": ExportOptions(source_lines=True).to_json(),
        }
        done = side.worker.call(f"{_EXPORT}:write", params)
        if done["written"]:
            yield path
        else:
            reasons.append(f"{strategy}: {done['why']}")

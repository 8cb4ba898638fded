"""Run pickled pairs of a model and its feedings through ONNX Runtime; a process of its own.

`python tests/importers/runtime_reference.py IN OUT`: per model, the results of each feeding, or the error in one line.
With `--optimised` as a third argument, per model the graph that ONNX Runtime's optimiser makes of it.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import onnxruntime


def results(model: bytes, feedings: list[dict[str, Any]]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return [session.run(None, feeding) for feeding in feedings]
    except Exception as error:  # noqa: BLE001 - a failure is a result
        return f"{type(error).__name__}: {str(error)[:300]}"


def optimised(model: bytes, folder: Path) -> bytes:
    """The graph after ONNX Runtime's fusions, but for those that depend on the processor."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return (folder / "optimised.onnx").read_bytes()


if __name__ == "__main__":
    rows = pickle.loads(Path(sys.argv[1]).read_bytes())
    target = Path(sys.argv[2])
    if sys.argv[3:] == ["--optimised"]:
        answers: list[Any] = [optimised(model, target.parent) for model, _ in rows]
    else:
        answers = [results(*row) for row in rows]
    target.write_bytes(pickle.dumps(answers))

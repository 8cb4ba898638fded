"""The cases of ONNX's backend suite out of the `onnx` package: made by its code, or read from its files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
from onnx import numpy_helper

DATA = Path(onnx.backend.test.__file__).parent / "data"
FOLDERS = ("simple", "pytorch-converted", "pytorch-operator")
TOLERANCE = {"rtol": 1e-3, "atol": 1e-7}  # of cases that do not state their own
# name, kind, model, data, rtol, atol
Row = tuple[str, str, bytes, list[tuple[list[Any], list[Any]]], float, float]


def rows() -> Iterator[Row]:
    """Every case of the suite as its backend runner would run it."""
    yield from _node_rows()
    for kind in FOLDERS:
        for folder in sorted((DATA / kind).iterdir()):
            yield _folder_row(folder, kind)
    for folder in sorted((DATA / "real").iterdir()):
        yield _light_row(folder)


def fed(model: onnx.ModelProto) -> list[str]:
    """Names of the inputs that are no weights."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value.name for value in model.graph.input if value.name not in weights]


def _node_rows() -> Iterator[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    for case in cases:
        yield case.name, "node", case.model.SerializeToString(), case.data_sets, case.rtol, case.atol


def _folder_row(folder: Path, kind: str) -> Row:
    model = onnx.load(folder / "model.onnx")
    inputs = {value.name: value.type for value in model.graph.input}
    types = [inputs[name] for name in fed(model)]
    results = [value.type for value in model.graph.output]
    data = []
    for values in sorted(folder.glob("test_data_set_*")):
        given = [_load(values / f"input_{i}.pb", kind) for i, kind in enumerate(types)]
        data.append((given, [_load(values / f"output_{i}.pb", kind) for i, kind in enumerate(results)]))
    tolerance = TOLERANCE | _settings(folder)
    return folder.name, kind, model.SerializeToString(), data, tolerance["rtol"], tolerance["atol"]


def _light_row(folder: Path) -> Row:
    """A real network whose weights are ConstantOfShape, fed with a ramp from 0 to 1."""
    settings = TOLERANCE | _settings(folder)
    path = DATA / "light" / Path(settings["url"]).name
    model = onnx.load(path)
    shapes = {value.name: [d.dim_value or 1 for d in value.type.tensor_type.shape.dim] for value in model.graph.input}
    given = [_ramp(shapes[name]) for name in fed(model)]
    results = [
        _load(path.with_name(f"{path.stem}_output_{i}.pb"), value.type) for i, value in enumerate(model.graph.output)
    ]
    return folder.name, "light", model.SerializeToString(), [(given, results)], settings["rtol"], settings["atol"]


def _ramp(shape: list[int]) -> Any:
    count = int(np.prod(shape))
    return (np.arange(count).reshape(shape) / count).astype(np.float32)


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / "data.json"
    settings: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return settings


def _load(file: Path, kind: onnx.TypeProto) -> Any:
    """The value in a file, which does not say itself of which type it is."""
    content = file.read_bytes()
    if kind.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(content))
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(content))
    return numpy_helper.to_array(onnx.TensorProto.FromString(content))

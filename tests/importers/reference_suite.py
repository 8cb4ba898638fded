"""Run ONNX's cases through onnx.reference, for comparison; prints JSON."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from tests.importers.cases import Case, selected
from tests.importers.compare import as_array, difference


def plain(value: object) -> object:
    """Arrays for what a case may hold as a TensorProto."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return as_array(value) if isinstance(value, onnx.TensorProto) else value


def unicode_as_objects(value: object) -> object:
    """Strings as the cases hold them."""
    return value.astype(object) if isinstance(value, np.ndarray) and value.dtype.kind == "U" else value


def result(case: Case) -> str:
    try:
        session = ReferenceEvaluator(case.model)
        for inputs, outputs in case.data:
            feeds = dict(zip(case.inputs, map(plain, inputs), strict=False))
            actual = [unicode_as_objects(value) for value in session.run(None, feeds)]
            found = difference(actual, plain(list(outputs)), case.rtol, case.atol)
            if found:
                return found
    except Exception as error:  # noqa: BLE001 - every failure of a case is a row of the table
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "ok"


def main(arguments: list[str]) -> None:
    warnings.simplefilter("ignore")
    json.dump({case.name: result(case) for case in selected(arguments)}, sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])

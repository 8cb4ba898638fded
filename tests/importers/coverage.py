"""Which operators of ONNX a table has no form of, at any opset from 7 to the newest.

`python tests/importers/coverage.py torch|keras` prints what is lacking, and all names that the table has, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from onnx import defs

sys.path.insert(0, str(Path(__file__).parents[2]))

from exporters.graph.kinds import OPTIONAL, SEQUENCE, TENSOR
from exporters.graph.operator_table import OperatorTable
from tests.importers.schema_check import load

OLDEST = 7


def lacking(table: OperatorTable) -> dict[str, list[int]]:
    """Operator -> the versions of its schema that have neither a function here nor a body of ONNX's own."""
    histories: dict[str, list[Any]] = defaultdict(list)
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "":
            histories[schema.name].append(schema)
    found = defaultdict(list)
    for name, versions in sorted(histories.items()):
        versions.sort(key=lambda schema: schema.since_version)
        ends = [schema.since_version for schema in versions[1:]] + [defs.onnx_opset_version() + 1]
        for schema, end in zip(versions, ends, strict=True):
            opset = max(schema.since_version, OLDEST)
            if end > OLDEST and not schema.deprecated and not _has_form(table, schema, opset):
                found[name].append(schema.since_version)
    return dict(found)


def _has_form(table: OperatorTable, schema: Any, opset: int) -> bool:
    kinds = (TENSOR, SEQUENCE, OPTIONAL)
    known = any(table.lookup(schema.name, opset, "", 1, kind) is not None for kind in kinds)
    return known or schema.has_function or schema.has_context_dependent_function


if __name__ == "__main__":
    operators = load(sys.argv[1])
    names = sorted({row.name for row in operators if row.domain == ""})
    json.dump({"lacking": lacking(operators), "names": names}, sys.stdout, indent=1)

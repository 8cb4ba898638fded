"""Whether the functions of an operator table have the inputs, attributes and defaults that ONNX's schemas have.

`python tests/importers/schema_check.py torch|keras|contributed` prints {operator and since: complaints} as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import typing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import defs

sys.path.insert(0, str(Path(__file__).parents[2]))

from exporters.graph.limits import WRITER
from exporters.graph.operator_table import FUSED, Operator, OperatorTable

# What a builder adds of its own: numbers of outputs and of carried values, the module's mode, the input's shape,
# and a bias found behind.
OURS = {
    "outputs",
    "training",
    "carried",
    "nothing",
    "sequences",
    "source_shape",
    "bias",
    "scope",
    "builder",
    "result_names",
}
LEGACY = {"consumed_inputs"}
EARLY = {"LayerNormalization", "SimplifiedLayerNormalization"}
DTYPE_ATTRIBUTES = {"to", "dtype", "output_dtype", "output_datatype", "softmax_precision"}
# Defaults that the schemas state in words only, or that stand in a neighbouring version.
IN_WORDS = {
    ("Constant", "value"): "required up to opset 11, one of many since",
    ("Concat", "axis"): "opset 1: 'default value is 1'",
    ("Split", "axis"): "opset 1: 'Which axis to split on'; every later version says 0",
    ("Reshape", "shape"): "opset 1: needed, though it is declared optional",
    ("Clip", "min"): "opset 1: the smallest float, as opset 6 says in numbers",
    ("Clip", "max"): "opset 1: the largest float, as opset 6 says in numbers",
}
Option = defs.OpSchema.FormalParameterOption


def load(target: str) -> OperatorTable:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if target == "torch":
        from exporters.onnx_to_torch.operators import TORCH

        return TORCH
    if target == "contributed":
        from exporters.graph.contributed import REWRITTEN

        return REWRITTEN
    from exporters.onnx_to_keras.operators import KERAS

    return KERAS


def schemas(row: Operator, table: OperatorTable) -> list[defs.OpSchema]:
    """All versions of the operator's schema that `row` stands for."""
    later = [other.since for other in table if (other.name, other.domain) == (row.name, row.domain)]
    end = min((since for since in later if since > row.since), default=table.ceiling + 1)
    history = [s for s in defs.get_all_schemas_with_history() if (s.name, s.domain) == (row.name, row.domain)]
    first = max((s.since_version for s in history if s.since_version <= row.since), default=row.since)
    return [s for s in history if first <= s.since_version < end and not (s.deprecated and s.since_version > row.since)]


def complaints(row: Operator, table: OperatorTable) -> list[str]:
    if row.domain == "com.microsoft":
        return microsoft_complaints(row)
    versions = schemas(row, table)
    if not versions:
        return ["ONNX has no such operator"]
    known = {formal.name for s in versions for formal in s.inputs} | {name for s in versions for name in s.attributes}
    found = [f"'{name}' is no input or attribute" for name in row.parameters if name not in known | OURS]
    for schema in versions:
        found += [f"opset {schema.since_version}: {text}" for text in _inputs(row, schema)]
        found += [f"opset {schema.since_version}: {text}" for text in _attributes(row, schema)]
    return found


def _inputs(row: Operator, schema: defs.OpSchema) -> list[str]:
    found = []
    parameters = list(row.parameters.values())
    for i, formal in enumerate(schema.inputs):
        if i >= len(parameters) or parameters[i].name != formal.name:
            found.append(f"input {i} is '{formal.name}'")
            continue
        parameter = parameters[i]
        if row.layout != "subgraphs" and formal.option == Option.Optional and parameter.default is parameter.empty:
            found.append(f"'{formal.name}' is optional")
        if formal.option == Option.Variadic and not _is_list(parameter.annotation):
            found.append(f"'{formal.name}' is variadic")
    return found


def _is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) is list


def _attributes(row: Operator, schema: defs.OpSchema) -> list[str]:
    found = []
    for name, attribute in schema.attributes.items():
        parameter = row.parameters.get(name)
        if name in LEGACY or ((row.name, name) in IN_WORDS and schema.since_version == 1):
            continue
        if parameter is None:
            found.append(f"attribute '{name}' is missing")
        elif (
            attribute.required
            and row.name != "Constant"
            and parameter.default is not parameter.empty
            and not _forced(row, schema, name)
        ):
            found.append(f"'{name}' is required")
        elif not attribute.required and not _same(parameter.default, attribute, name):
            found.append(f"'{name}' is by default {_default(attribute)}, not {parameter.default}")
    return found


def _forced(row: Operator, schema: defs.OpSchema, name: str) -> bool:
    """Python wants a default behind one, so after optional inputs; another version of the schema may have one, too."""
    optional = any(formal.option == Option.Optional for formal in schema.inputs)
    return optional or (row.name, name) in IN_WORDS


def _default(attribute: defs.OpSchema.Attribute) -> Any:
    if not attribute.default_value.type:
        return None
    value = onnx.helper.get_attribute_value(attribute.default_value)
    if isinstance(value, bytes):
        return value.decode()
    return [item.decode() if isinstance(item, bytes) else item for item in value] if isinstance(value, list) else value


def _same(given: Any, attribute: defs.OpSchema.Attribute, name: str) -> bool:
    wanted = _default(attribute)
    if name in DTYPE_ATTRIBUTES:
        return wanted is None or (given is None and wanted == 0) or str(given).endswith(_dtype(wanted))
    if isinstance(wanted, float):
        return isinstance(given, float) and np.float32(given) == np.float32(wanted)
    return (list(given) if isinstance(given, tuple) else given) == wanted


@cache
def runtime_schemas() -> dict[str, Any]:
    """ONNX Runtime's own operators, as it declares them."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    own = [schema for schema in runtime.get_all_operator_schema() if schema.domain == "com.microsoft"]
    # it declares its early normalisations in ONNX's domain
    early = [s for s in runtime.get_all_operator_schema() if s.name in EARLY and s.domain == ""]
    return {schema.name: schema for schema in (*early, *own)}


def microsoft_complaints(row: Operator) -> list[str]:
    schema = runtime_schemas().get(row.name)
    if schema is None:
        return ["ONNX Runtime has no such operator"]
    names = [formal.name for formal in schema.inputs]
    ours = [name for name in row.parameters if name != WRITER]
    found = [f"input {i} is '{name}'" for i, name in enumerate(names) if i >= len(ours) or ours[i] != name]
    wanted = {*schema.attributes} - LEGACY
    found += [f"'{name}' is no input or attribute" for name in ours if name not in {*names, *wanted}]
    for name in wanted:
        parameter = row.parameters.get(name)
        raw = schema.attributes[name]._default_value
        default = onnx.AttributeProto.FromString(raw) if raw else None
        if parameter is None:
            found.append(f"attribute '{name}' is missing")
        elif default is not None and not _equal(parameter.default, onnx.helper.get_attribute_value(default)):
            found.append(f"'{name}' is by default {default}, not {parameter.default}")
    return found


def _equal(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        return isinstance(given, float) and np.float32(given) == np.float32(wanted)
    return bool(given == (wanted.decode() if isinstance(wanted, bytes) else wanted))


def _dtype(number: int) -> str:
    return str(onnx.helper.tensor_dtype_to_np_dtype(number))


def check(target: str) -> dict[str, list[str]]:
    table = load(target)
    return {
        f"{row.name}-{row.since}-{row.outputs}-{row.of}": complaints(row, table) for row in table if row.domain != FUSED
    }


if __name__ == "__main__":
    json.dump(check(sys.argv[1]), sys.stdout, indent=1)

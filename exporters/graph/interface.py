"""Give a graph the interface of its source: names, dynamic dimensions, and the metadata that travels inside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from toolkit import __version__, metadata
from toolkit.contract import Contract
from toolkit.errors import InvalidGraph
from toolkit.signature import Signature, TensorSpec

_FLOATS = {"float16": ir.DataType.FLOAT16, "bfloat16": ir.DataType.BFLOAT16, "float32": ir.DataType.FLOAT,
           "float64": ir.DataType.DOUBLE}  # fmt: skip
IR_VERSION = 10  # ONNX Runtime 1.18 (May 2024) and later read it; a newer one would shut older apps out for nothing


def finish(model: ir.Model, signature: Signature, contract: Contract) -> ir.Model:
    """Name inputs, outputs and dimensions after `signature`, in its order, and put the metadata in; in place.

    Raises InvalidGraph where the graph has another number of inputs or outputs: an exporter has added or lost some.
    """
    graph = model.graph
    initializers = set(graph.initializers)
    inputs = [value for value in graph.inputs if value.name not in initializers]
    for side, values, specs in (("inputs", inputs, signature.inputs), ("outputs", graph.outputs, signature.outputs)):
        if len(values) != len(specs):
            found, wanted = [value.name for value in values], [spec.name for spec in specs]
            raise InvalidGraph(f"the exporter wrote the {side} {found} where the model has {wanted}")
    _free_names(graph, {*signature.input_names, *signature.output_names})
    for each in (graph, *graph.subgraphs()):
        _separate_outputs(each)
    for value, spec in zip(inputs, signature.inputs, strict=True):
        _describe(value, spec)
    for value, spec in zip(graph.outputs, signature.outputs, strict=True):
        _describe(value, spec)
    model.ir_version = min(model.ir_version or IR_VERSION, IR_VERSION)
    model.producer_name, model.producer_version = "model-toolkit", __version__
    model.metadata_props[metadata.KEY] = metadata.dumps(signature, contract)
    return model


def cast(model: ir.Model, signature: Signature) -> ir.Model:
    """Give inputs and outputs the dtypes of `signature`, each float of another with a Cast; in place."""
    graph = model.graph
    weights = set(graph.initializers)
    inputs = [value for value in graph.inputs if value.name not in weights]
    for value, spec in zip(inputs, signature.inputs, strict=True):
        wanted, found = _dtype(spec), value.dtype
        if wanted is not None and found is not None and found != wanted and found.is_floating_point():
            node = ir.node("Cast", [value], {"to": found})
            node.outputs[0].type, node.outputs[0].shape = ir.TensorType(found), value.shape
            value.dtype = wanted
            ir.convenience.replace_all_uses_with(value, node.outputs[0], replace_graph_outputs=True)
            node.replace_input_with(0, value)
            graph.insert_before(graph[0], node)
    for index, (value, spec) in enumerate(zip(list(graph.outputs), signature.outputs, strict=True)):
        wanted, found = _dtype(spec), value.dtype
        if wanted is not None and found is not None and found != wanted and found.is_floating_point():
            node = ir.node("Cast", [value], {"to": wanted})
            made = node.outputs[0]
            made.type, made.shape, made.name = ir.TensorType(wanted), value.shape, value.name
            value.name = f"{value.name}__{found.name.lower()}"
            graph.append(node)
            graph.outputs[index] = made
    return model


def _dtype(spec: TensorSpec) -> ir.DataType | None:
    return _FLOATS.get(spec.dtype)


def name_weights(model: ir.Model, weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Name initializers after the source's tensors that they are, bit for bit.

    A tensor is recognised in its own shape first, then by its elements in any order: exporters transpose kernels,
    reorder gates and reshape biases. One whose elements are all equal is recognised in its own shape alone.
    """
    taken = {output.name for node in model.graph.all_nodes() for output in node.outputs}
    unnamed = [value for value in model.graph.initializers.values() if value.const_value and value.const_value.size > 1]
    # A graph holds bfloat16 as float32 here: converters know no other.
    left = {name: array.astype(np.float32) if array.dtype.name == "bfloat16" else array
            for name, array in weights.items()}  # fmt: skip
    for fingerprint in (_shape_and_bytes, _elements):
        names: dict[object, list[str]] = {}
        for name, array in left.items():
            names.setdefault(fingerprint(array), []).append(name)
        for value in list(unnamed):
            assert value.const_value is not None
            array = value.const_value.numpy()
            found = names.get(fingerprint(array)) if fingerprint(array) else None
            if found:
                name = found.pop(0)
                del left[name]
                unnamed.remove(value)
                if name not in taken and name not in model.graph.initializers:
                    value.name = name


def _shape_and_bytes(array: np.ndarray[Any, Any]) -> tuple[object, ...]:
    return (array.shape, array.dtype.name, hashlib.sha256(np.ascontiguousarray(array).data).digest())


def _elements(array: np.ndarray[Any, Any]) -> tuple[object, ...] | None:
    """The same for every order of the same elements: sums of powers of their bits; None where all are equal."""
    flat = array.reshape(-1)
    if flat.dtype.kind != "f" or flat.dtype.itemsize not in (2, 4, 8) or bool((flat == flat[0]).all()):
        return None
    bits = flat.view(f"u{flat.dtype.itemsize}").astype(np.uint64)
    with np.errstate(over="ignore"):  # modulo 2**64, on purpose
        return (flat.size, flat.dtype.name, *(int((bits**power).sum(dtype=np.uint64)) for power in (1, 2, 3)))


def _free_names(graph: ir.Graph, wanted: set[str]) -> None:
    """Rename inner values that bear a name the interface needs."""
    for node in graph.all_nodes():
        for value in node.outputs:
            if value.name in wanted:
                value.name = f"{value.name}__inner"
    for name in wanted & set(graph.initializers):
        graph.initializers[name].name = f"{name}__weight"


def _separate_outputs(graph: ir.Graph) -> None:
    """An output that is an input, an initializer or another output gets an Identity of its own, and so its own name.

    So does a branch's or a loop's output that was computed outside of it.
    """
    seen: set[int] = set()
    for index, value in enumerate(graph.outputs):
        producer = value.producer()
        if producer is None or producer.graph is not graph or id(value) in seen:
            identity = ir.node("Identity", [value])
            copy = identity.outputs[0]
            copy.type, copy.shape = value.type, value.shape
            graph.append(identity)
            graph.outputs[index] = copy
        seen.add(id(graph.outputs[index]))


def _describe(value: ir.Value, spec: TensorSpec) -> None:
    value.name = spec.name
    value.shape = ir.Shape(list(spec.shape))
    value.metadata_props.clear()

"""Lookup tables that a TensorFlow function captures: what they hold, and which of its inputs are looked up in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

FIND = "LookupTableFindV2"


@dataclass(frozen=True)
class Table:
    """Keys and their values, both of one dimension; strings are `bytes`. `handle` is TensorFlow's own."""

    handle: Any
    keys: Array
    values: Array


def of(graph_def: Any, handles: Mapping[str, Any]) -> dict[str, Table]:
    """The tables behind those placeholders (by node name) that the graph's outermost nodes look something up in."""
    nodes = {node.name: node for node in graph_def.node}
    found: dict[str, Table] = {}
    for node in graph_def.node:
        if node.op == FIND:
            name = holder(nodes, node.input[0])
            if name in handles and name not in found:
                kinds = node.attr["Tin"].type, node.attr["Tout"].type
                found[name] = Table(handles[name], *contents(handles[name], *kinds))
    return found


def holder(nodes: Mapping[str, Any], name: str) -> str:
    """The node that a handle comes from."""
    node = nodes[name.partition(":")[0]]
    while node.op == "Identity":
        node = nodes[node.input[0].partition(":")[0]]
    return str(node.name)


def contents(handle: Any, keys: int, values: int) -> tuple[Array, Array]:
    """Keys and values of a table of those dtypes (TensorFlow's numbers for them), in the order of the keys.

    A hash table gives them in another order in every process, and with it files and test inputs would change.
    """
    import tensorflow as tf

    exported = tf.raw_ops.LookupTableExportV2(
        table_handle=handle, Tkeys=tf.dtypes.as_dtype(keys), Tvalues=tf.dtypes.as_dtype(values)
    )
    found, held = (tensor.numpy() for tensor in exported)
    order = np.argsort(found, kind="stable")
    return found[order], held[order]

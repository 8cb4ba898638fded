"""TensorFlow's lookup tables, and comparisons of words, as ONNX's LabelEncoder, in the way of `arithmetic`.

tf2onnx has tables from words to numbers and back alone, and reads words as numbers where they are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow.writer import BOOL, INT64, STRING, Array, Writer
from exporters.graph.tensorflow_tables import FIND, Table, holder
from toolkit.errors import UnsupportedOperator

_ML = "ai.onnx.ml"
_TF_STRING = 7  # TensorFlow's
_SIZE = "LookupTableSizeV2"
_COMPARED = ("Equal", "NotEqual")


def forms(tables: Mapping[str, Table], graph_def: Any) -> dict[str, Callable[..., str | None]]:
    """How to look something up in one of those tables, which their handles' nodes tell, and compare words."""
    nodes = {node.name: node for node in graph_def.node}
    by_node = {
        node.name: tables[name]
        for node in graph_def.node
        if node.op in (FIND, _SIZE) and (name := holder(nodes, node.input[0])) in tables
    }
    words = {node.op for node in graph_def.node if node.op in _COMPARED and node.attr["T"].type == _TF_STRING}
    compared = {name: partial(_compared, is_equal=name == "Equal") for name in words}
    return {FIND: partial(_find, by_node), _SIZE: partial(_size, by_node), **compared}


def _find(by_node: Mapping[str, Table], write: Writer, _handle: str, keys: str, default: str) -> str:
    """The value of every key, or the default; numbers are looked up as int64."""
    name = write.node.name
    table, otherwise = by_node.get(name), write.graph.get_node_by_output(default)
    if table is None or otherwise is None or not otherwise.is_const():
        raise UnsupportedOperator(f"ONNX has no form of {FIND} (in '{name}'): its table is not known in advance")
    missing = np.asarray(otherwise.get_tensor_value(as_list=False)).reshape(-1)
    of_words = table.keys.dtype.kind in "OS"
    wide = keys if of_words or write.dtype(keys) == np.int64 else write("Cast", keys, to=INT64)
    found = _encoded(write, wide, table.keys, table.values, missing)
    narrow = table.values.dtype.kind == "i" and table.values.dtype != np.int64
    return write("Cast", found, to=write.graph.get_dtype(write.node.output[0])) if narrow else found


def _size(by_node: Mapping[str, Table], write: Writer, _handle: str) -> str:
    return write.constant(np.array(len(by_node[write.node.name].keys), np.int64))


def _compared(write: Writer, one: str, other: str, *, is_equal: bool) -> str | None:
    """Whether words are a given word; None where neither side is one."""
    for words, word in ((one, other), (other, one)):
        given = write.graph.get_node_by_output(word)
        if write.graph.get_dtype(words) != STRING or given is None or not given.is_const():
            continue
        key = np.asarray(given.get_tensor_value(as_list=False)).reshape(-1)
        if key.size == 1:
            found = _encoded(write, words, key, np.array([int(is_equal)]), np.array([int(not is_equal)]))
            return write("Cast", found, to=BOOL)
    return None


def _encoded(write: Writer, x: str, keys: Array, values: Array, missing: Array) -> str:
    settings = {f"keys_{_kind(keys)}": _plain(keys), f"values_{_kind(values)}": _plain(values)}
    settings[f"default_{_kind(values).removesuffix('s')}"] = _plain(missing)[0]
    return write("LabelEncoder", x, domain=_ML, **settings)


def _kind(array: Array) -> str:
    kinds = {"O": "strings", "S": "strings", "i": "int64s", "f": "floats"}
    if array.dtype.kind not in kinds or array.dtype == np.float64:
        raise UnsupportedOperator(f"ONNX has no lookup table of {array.dtype.name}")
    return kinds[array.dtype.kind]


def _plain(array: Array) -> list[Any]:
    """As attributes hold them."""
    return [each.decode() if isinstance(each, bytes) else each for each in array.tolist()]

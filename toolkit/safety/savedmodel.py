"""SavedModels: which of the operators in their graphs and functions do more than compute.

Saving and restoring variables is part of every SavedModel. It is let through where only the saver's own call in the
main graph reaches it, with a file name that is given from outside; else it could write what and where it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.errors import BadInput, RuntimeMissing
from toolkit.safety.lists import allowed

GRAPH = "saved_model.pb"

# What savers do: known to touch files.
_SAVING = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "ShardedFilespec", "Save",
                     "Restore", "SaveSlices", "RestoreSlice"})  # fmt: skip
_GIVEN = ("Placeholder", "PlaceholderWithDefault")

# message -> field -> (number, type, is it a list); a map is a list of entries with a key and a value.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "SavedModel": {"meta_graphs": (2, "MetaGraph", True)},
    "MetaGraph": {"info": (1, "Info", False), "graph": (2, "Graph", False), "signatures": (5, "SignatureEntry", True),
                  "collections": (4, "CollectionEntry", True)},
    "Info": {"tensorflow_version": (5, "string", False)},
    "Graph": {"node": (1, "Node", True), "library": (2, "Library", False)},
    "Library": {"function": (1, "Function", True)},
    "Function": {"signature": (1, "Definition", False), "node": (3, "Node", True)},
    "Definition": {"name": (1, "string", False)},
    "Node": {"name": (1, "string", False), "op": (2, "string", False), "input": (3, "string", True),
             "attr": (5, "AttributeEntry", True)},
    "AttributeEntry": {"key": (1, "string", False), "value": (2, "Attribute", False)},
    "Attribute": {"list": (1, "AttributeList", False), "func": (10, "Called", False)},
    "AttributeList": {"func": (9, "Called", True)},
    "Called": {"name": (1, "string", False)},
    "SignatureEntry": {"key": (1, "string", False), "value": (2, "Signature", False)},
    "Signature": {"inputs": (1, "TensorEntry", True), "outputs": (2, "TensorEntry", True)},
    "TensorEntry": {"key": (1, "string", False), "value": (2, "Tensor", False)},
    "Tensor": {"name": (1, "string", False), "dtype": (2, "int64", False), "shape": (3, "Shape", False)},
    "Shape": {"dim": (2, "Dim", True), "unknown_rank": (3, "bool", False)},
    "Dim": {"size": (1, "int64", False)},
    "CollectionEntry": {"key": (1, "string", False), "value": (2, "Collection", False)},
    "Collection": {"nodes": (1, "NodeList", False)},
    "NodeList": {"value": (1, "string", True)},
}  # fmt: skip


def findings(path: Path) -> list[str]:
    """Operators that are not on the list. Raises BadInput where the graph cannot be read."""
    found: list[str] = []
    for meta in read(path).meta_graphs:
        found += _of_graph(meta)
    return found


def _of_graph(meta: Any) -> Iterator[str]:
    known = allowed("tensorflow")
    functions = {function.signature.name: list(function.node) for function in meta.graph.library.function}
    nodes = list(meta.graph.node)
    for node in (*nodes, *(node for body in functions.values() for node in body)):
        if node.op not in known and node.op not in _SAVING and node.op not in functions and node.op not in _HARMLESS:
            yield node.op
    yield from _saving(meta, nodes, functions)


# Operators of the graph itself.
_HARMLESS = frozenset(
    {"NoOp", "Placeholder", "PlaceholderWithDefault", "Const", "Identity", "IdentityN", "_Arg", "_Retval"}
)


def _saving(meta: Any, nodes: list[Any], functions: Mapping[str, list[Any]]) -> Iterator[str]:
    """Operators that touch files where something else than a saver may reach them."""
    savers = {name for name, body in functions.items() if any(node.op in _SAVING for node in body)}
    for name, body in functions.items():
        for called in savers & {each for node in body for each in _called(node)}:
            yield f"{_first_saving(functions[called])} (called by the function {name})"
    by_name = {node.name: node for node in nodes}
    running = _running(meta, by_name)
    for node in nodes:
        touching = {node.op} & _SAVING or savers & set(_called(node))
        if not touching:
            continue
        source = by_name.get(_producer(node.input[0])) if node.input else None
        given = source is not None and source.op in _GIVEN
        if node.name in running or not (given or node.op in _SAVING):
            kind = node.op if node.op in _SAVING else _first_saving(functions[next(iter(touching))])
            yield f"{kind} (at '{node.name}')"


def _running(meta: Any, by_name: Mapping[str, Any]) -> set[str]:
    """The names of the main graph's nodes that a signature or an initialisation runs."""
    waiting = [_producer(entry.value.name) for each in meta.signatures for entry in each.value.outputs]
    waiting += [_producer(value) for each in meta.collections for value in each.value.nodes.value if "init" in each.key
                or "main_op" in each.key]  # fmt: skip
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in by_name:
            continue
        found.add(name)
        waiting += [_producer(text) for text in by_name[name].input]
    return found


def _producer(tensor: str) -> str:
    """The node of a tensor's name: "^step" and "step:1" are both of "step"."""
    return tensor.removeprefix("^").partition(":")[0]


def _called(node: Any) -> Iterator[str]:
    yield node.op
    for entry in node.attr:
        if entry.value.func.name:
            yield entry.value.func.name
        for each in entry.value.list.func:
            yield each.name


def _first_saving(body: Iterable[Any]) -> str:
    return str(next(node.op for node in body if node.op in _SAVING))


def read(path: Path) -> Any:
    """The fields above of the graph's protobuf, by Google's own parser; whatever else is in it is skipped."""
    try:
        content = (path / GRAPH).read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=str(path / GRAPH)) from error
    from google.protobuf.message import DecodeError

    model = _message()()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise BadInput("it is damaged", where=str(path / GRAPH), hint="Export or copy it again.") from error
    return model


@cache
def _message() -> Any:
    """The class of `SavedModel`, made from the table above: TensorFlow's own is not worth its import."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ModuleNotFoundError:
        raise RuntimeMissing(
            "the package 'protobuf' is not installed", hint="`toolkit doctor` says what to run."
        ) from None
    field = descriptor_pb2.FieldDescriptorProto
    plain = {"string": field.TYPE_STRING, "int64": field.TYPE_INT64, "bool": field.TYPE_BOOL}
    file = descriptor_pb2.FileDescriptorProto(name="toolkit_savedmodel.proto", package="toolkit", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for key, (number, kind, is_list) in fields.items():
            label = field.LABEL_REPEATED if is_list else field.LABEL_OPTIONAL
            added = message.field.add(name=key, number=number, label=label)
            if kind in plain:
                added.type = plain[kind]
            else:
                added.type, added.type_name = field.TYPE_MESSAGE, f".toolkit.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("toolkit.SavedModel"))

"""A TensorFlow graph without what its outputs do not need: counters of random numbers, checks, prints.

TensorFlow keeps operators that change a variable even where nothing reads it; they cannot be frozen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from toolkit.errors import ExportFailed

_INPUT = "Placeholder"
_CHANGES = ("Assign", "AssignAdd", "AssignSub", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


@contextlib.contextmanager
def while_freezing(function: Any) -> Iterator[None]:
    """While this lasts, freezing sees of `function` only what its outputs need."""
    from tensorflow.python.framework import convert_to_constants

    outputs = [tensor.op.name for tensor in function.outputs]
    # It is the one place where freezing has the graph with its functions inlined.
    original: Callable[..., Any] = convert_to_constants._run_inline_graph_optimization  # noqa: SLF001 - as said

    def inlined(*arguments: Any, **options: Any) -> Any:
        graph_def = original(*arguments, **options)
        keep_needed(graph_def, outputs)
        return graph_def

    convert_to_constants._run_inline_graph_optimization = inlined  # noqa: SLF001 - as said
    try:
        yield
    finally:
        convert_to_constants._run_inline_graph_optimization = original  # noqa: SLF001 - as said


def keep_needed(graph_def: Any, outputs: list[str]) -> None:
    """Remove what no output is computed from, in place; inputs stay.

    Raises ExportFailed where the outputs depend on a variable that the model itself has changed before.
    """
    nodes = {node.name: node for node in graph_def.node}
    needed: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name not in needed and name in nodes:
            needed.add(name)
            waiting += [given.split(":")[0] for given in nodes[name].input if not given.startswith("^")]
    kept = [node for node in graph_def.node if node.name in needed or node.op == _INPUT]
    for node in kept:
        for given in [given for given in node.input if given.startswith("^")]:
            before = nodes.get(given[1:])
            if before is not None and before.op in _CHANGES and before.input[0] == node.input[0]:
                raise ExportFailed(
                    f"the model changes its own variable '{before.input[0]}' each time it is called",
                    hint="Make it stateless: pass the state in and return it (in Keras: stateful=False).",
                )
            node.input.remove(given)
    del graph_def.node[:]
    graph_def.node.extend(kept)

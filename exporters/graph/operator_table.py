"""One table per target: which function stands for which ONNX operator, from which opset on."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from exporters.graph.kinds import TENSOR, kind_of_node
from toolkit.errors import InvalidGraph, UnsupportedOperator

if TYPE_CHECKING:
    import onnx_ir as ir

FUSED = "toolkit.fused"  # domain of operators that a pattern put into a graph whose opset does not have them

Function = TypeVar("Function", bound=Callable[..., Any])


# ONNX's domains and ONNX Runtime's: what a runtime can be expected to know
DOMAINS = frozenset({"", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft"})


@dataclass(frozen=True)
class Operator:
    """A function that stands for `name` from opset `since` on, giving `outputs` results (None: as many as the node).

    `of` is the kind of first input that it takes, where there is one function for tensors and another for sequences
    or optional values (None: every kind). `layout` names the rule by which the function copes with permuted tensors
    (see `exporters.graph.layout`).
    """

    name: str
    since: int
    function: Callable[..., Any]
    domain: str = ""
    outputs: int | None = 1
    layout: str = "source"
    of: str | None = None

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Name -> parameter, the annotations evaluated: inputs first, then attributes."""
        hints = typing.get_type_hints(self.function)
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.replace(annotation=hints.get(p.name, Any)) for p in parameters}


class OperatorTable:
    """Operators of one target, looked up by name, domain and opset.

    Args:
        target: the target as messages call it, such as "PyTorch".
        ceiling: the newest opset whose operators the table's functions were checked against.
        advice: what a user can do when an operator is missing.
        rewritten: operators that are written as others before this table is asked, where it lacks them.
    """

    def __init__(
        self, target: str, ceiling: int, advice: str | None = None, rewritten: OperatorTable | None = None
    ) -> None:
        self.target = target
        self.ceiling = ceiling
        self.advice = advice
        self.rewritten = rewritten
        self._operators: dict[tuple[str, str], list[Operator]] = {}

    def op(
        self,
        name: str,
        *,
        since: int,
        domain: str = "",
        outputs: int | None = 1,
        layout: str = "source",
        of: str | None = None,
    ) -> Callable[[Function], Function]:
        """Register the decorated function for `name`, from opset `since` until the next one registered.

        An operator whose further outputs cost time has one function per number of outputs that a node uses.
        """

        def register(function: Function) -> Function:
            self.add(Operator(name, since, function, domain, outputs, layout, of))
            return function

        return register

    def add(self, operator: Operator) -> None:
        rows = self._operators.setdefault((operator.domain, operator.name), [])
        same = (operator.since, operator.outputs, operator.of)
        if any((row.since, row.outputs, row.of) == same for row in rows):
            raise ValueError(
                f"{operator.name} since opset {operator.since} is already registered for {self.target}: "
                f"{operator.function.__name__} would be its second function"
            )
        rows.append(operator)

    def __iter__(self) -> Iterator[Operator]:
        for rows in self._operators.values():
            yield from rows

    def lookup(self, name: str, opset: int, domain: str = "", outputs: int = 1, of: str = TENSOR) -> Operator | None:
        """The newest function whose `since` is at most `opset`, and that gives at least `outputs` results.

        In the domain `FUSED`, ONNX's operators are meant as the newest opset has them.
        """
        if domain == FUSED and (domain, name) not in self._operators:
            domain, opset = "", self.ceiling
        known = self._operators.get((domain, name), [])
        rows = [row for row in known if row.since <= opset and row.of in (None, of)]
        newest = max((row.since for row in rows), default=0)
        fitting = [row for row in rows if row.since == newest and (row.outputs is None or row.outputs >= outputs)]
        return min(fitting, key=lambda row: row.outputs or 0, default=None)

    def lookup_node(self, node: ir.Node, model: ir.Model) -> Operator | None:
        opset = model.opset_imports.get(node.domain, 0)
        return self.lookup(node.op_type, opset, node.domain, used_outputs(node), kind_of_node(node))

    def missing(self, model: ir.Model) -> list[ir.Node]:
        """All nodes of the model, subgraphs included, that this table has no function for."""
        return [node for node in model.graph.all_nodes() if self.lookup_node(node, model) is None]

    def require(self, model: ir.Model, where: str) -> None:
        """Raise UnsupportedOperator listing all missing operators at once, or InvalidGraph above the ceiling."""
        opset = model.opset_imports.get("", 0)
        if opset > self.ceiling:
            raise UnsupportedOperator(
                f"opset {opset} is above {self.ceiling}, the newest that the {self.target} importer knows",
                where=where,
                hint="Write the model at an older opset, for instance with onnx.version_converter.",
            )
        missing = self.missing(model)
        if missing:
            domain = missing[0].domain
            raise unsupported(
                missing, model, where, self.target, self.advice if domain in DOMAINS else _foreign(domain)
            )


def unsupported(
    nodes: list[ir.Node], model: ir.Model, where: str, target: str, advice: str | None
) -> UnsupportedOperator:
    """The error that lists all of `nodes`, which have no form in `target`."""
    first, *rest = nodes
    others: dict[str, list[str]] = {}
    for node in rest:
        others.setdefault(_with_opset(node, model), []).append(node_name(node))
    more = "".join(f"\n  also {title} at {_list(names)}" for title, names in others.items())
    return UnsupportedOperator(
        f"{_with_opset(first, model)} has no {target} form{'.' if not more else f';{more}'}",
        where=f"{where}, node '{node_name(first)}'",
        hint=advice,
    )


def _with_opset(node: ir.Node, model: ir.Model) -> str:
    opset = model.opset_imports.get(node.domain)
    return f"{node_title(node)} ({'no opset declared' if opset is None else f'opset {opset}'})"


def _foreign(domain: str) -> str:
    return f"'{domain}' is no domain of ONNX or ONNX Runtime: write its operators as functions inside the model."


def used_outputs(node: ir.Node) -> int:
    """How many outputs of a node somebody reads: one more than the index of the last one used, and at least one."""
    used = [i for i, value in enumerate(node.outputs) if value.uses() or value.is_graph_output()]
    return max(used, default=0) + 1


def opset_of(node: ir.Node, model: ir.Model, where: str) -> int:
    if node.domain not in model.opset_imports:
        raise InvalidGraph(f"the model imports no opset for domain '{node.domain}'", where=where)
    return model.opset_imports[node.domain]


def node_title(node: ir.Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def node_name(node: ir.Node) -> str:
    return node.name or f"-> {node.outputs[0].name}"


def _list(names: list[str], most: int = 3) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"

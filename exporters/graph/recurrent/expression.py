"""What one step of a loop computes, as arithmetic on the step's inputs, the states and the weights.

Sums and products are kept as polynomials, so that it does not matter how a cell groups and orders them; products with
weight matrices, biases and activations are what the polynomials are made of. Weights are sliced, never added.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Known:
    """A constant or a weight; equal where its elements are."""

    array: Array

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Known) or self.array.dtype != other.array.dtype:
            return False
        return self.array.shape == other.array.shape and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.array.shape, self.array.dtype.str, self.array.flat[:4].tobytes()))


@dataclass(frozen=True)
class Sequence:
    """A tensor outside the loop that is read along `axis`, one element each step, from the end if `backwards`."""

    value: ir.Value
    axis: int = 0
    backwards: bool = False


@dataclass(frozen=True)
class Leaf:
    """A state by number ("state"), a sequence's element of this step ("step"), or any other value ("outer")."""

    kind: str
    of: int | Sequence | ir.Value
    width: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Product:
    """`source @ matrix`."""

    source: Expression
    matrix: Known


@dataclass(frozen=True)
class Bias:
    """A vector of weights along the last axis."""

    vector: Known


@dataclass(frozen=True)
class Activated:
    """An activation, by ONNX's name."""

    name: str
    argument: Sum


@dataclass(frozen=True)
class Made:
    """Any other operator's result; `which` tells apart what differs in more than the arguments."""

    kind: str
    arguments: tuple[Expression, ...]
    which: Any = None


Atom = Leaf | Product | Bias | Activated | Made
Monomial = frozenset[tuple[Atom, int]]
ONE: Monomial = frozenset()
_MOST_TERMS = 32
_ROUNDING = 2.0**-22  # relative error of numbers that were written in float32


def close(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= _ROUNDING * abs(wanted)


@dataclass(frozen=True)
class Sum:
    """A polynomial in atoms: {product: factor}, in the order in which the graph has them."""

    terms: dict[Monomial, float]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(frozenset(self.terms))

    @cached_property
    def atoms(self) -> frozenset[Atom]:
        return frozenset(atom for term in self.terms for atom, _ in term)


@dataclass(frozen=True)
class Lifted:
    """A value with `count` axes of size 1 before its own."""

    inner: Sum
    count: int


Expression = Known | Sum | Lifted


def of_terms(terms: dict[Monomial, float]) -> Sum:
    return Sum({term: factor for term, factor in terms.items() if factor != 0.0})


def of_atom(atom: Atom) -> Sum:
    return Sum({frozenset({(atom, 1)}): 1.0})


def number(value: float) -> Sum:
    return of_terms({ONE: value})


def as_sum(expression: Expression) -> Sum | None:
    """A polynomial, constants included: single numbers, and vectors along the last axis."""
    if isinstance(expression, Sum):
        return expression
    if isinstance(expression, Known) and expression.array.dtype.kind == "f":
        array = expression.array
        if array.size == 1 and array.ndim <= 1:
            return number(float(array.reshape(())))
        if array.ndim in (1, 2) and array.size == array.shape[-1]:
            return of_atom(Bias(Known(array.reshape(-1))))
    return None


def alone(expression: Expression) -> Atom | None:
    """The atom that a polynomial is, if it is nothing but one."""
    if not isinstance(expression, Sum) or len(expression.terms) != 1:
        return None
    ((term, factor),) = expression.terms.items()
    if not close(factor, 1.0) or len(term) != 1:
        return None
    ((atom, power),) = term
    return atom if power == 1 else None


def add(one: Sum, other: Sum, factor: float = 1.0) -> Sum | None:
    found = dict(one.terms)
    for term, number_ in other.terms.items():
        found[term] = found.get(term, 0.0) + factor * number_
    return of_terms(found) if len(found) <= _MOST_TERMS else None


def scaled(whole: Sum, factor: float) -> Sum:
    return of_terms({term: factor * number_ for term, number_ in whole.terms.items()})


def multiply(one: Sum, other: Sum) -> Sum | None:
    if len(one.terms) * len(other.terms) > _MOST_TERMS:
        return None
    found: dict[Monomial, float] = {}
    for first, a in one.terms.items():
        for second, b in other.terms.items():
            powers = dict(first)
            for atom, power in second:
                powers[atom] = powers.get(atom, 0) + power
            term = frozenset(powers.items())
            found[term] = found.get(term, 0.0) + a * b
    return of_terms(found)


def divided(whole: Sum, atom: Atom) -> tuple[Sum, Sum]:
    """What `atom` is multiplied by in the terms that have it once, and the other terms."""
    quotient = {term - {(atom, 1)}: factor for term, factor in whole.terms.items() if (atom, 1) in term}
    rest = {term: factor for term, factor in whole.terms.items() if (atom, 1) not in term}
    return of_terms(quotient), of_terms(rest)


def same(one: Sum | None, other: Sum | None) -> bool:
    """Equal, factors up to rounding."""
    if one is None or other is None or one.terms.keys() != other.terms.keys():
        return False
    return all(close(other.terms[term], factor) for term, factor in one.terms.items())


def width(expression: Expression) -> int | None:
    """The size of the last axis, where it is known: the largest that an atom has, since smaller ones broadcast."""
    if isinstance(expression, Known):
        return expression.array.shape[-1] if expression.array.ndim else 1
    if isinstance(expression, Lifted):
        return width(expression.inner)
    sizes = [_width(atom) for atom in expression.atoms]
    known = [size for size in sizes if size is not None]
    return max(known) if known and len(known) == len(sizes) else None


def _width(atom: Atom) -> int | None:
    match atom:
        case Leaf():
            return atom.width
        case Product():
            return int(atom.matrix.array.shape[1])
        case Bias():
            return int(atom.vector.array.size)
        case Activated():
            return width(atom.argument)
        case Made():
            return None


def columns(whole: Sum, start: int, stop: int) -> Sum | None:
    """Part of the last axis; None where a part of an atom cannot be had."""
    full = width(whole)
    if full is None or any(_width(atom) != full for atom in whole.atoms):
        return None
    found: dict[Monomial, float] = {}
    for term, factor in whole.terms.items():
        parts = [(_columns(atom, start, stop), power) for atom, power in term]
        if any(part is None for part, _ in parts):
            return None
        found[frozenset((part, power) for part, power in parts if part is not None)] = factor
    return of_terms(found) if len(found) == len(whole.terms) else None


def _columns(atom: Atom, start: int, stop: int) -> Atom | None:
    match atom:
        case Product():
            return Product(atom.source, Known(atom.matrix.array[:, start:stop]))
        case Bias():
            return Bias(Known(atom.vector.array[start:stop]))
        case Activated():
            argument = columns(atom.argument, start, stop)
            return None if argument is None else Activated(atom.name, argument)
        case _:
            return None


def total(parts: Iterable[Sum]) -> Sum | None:
    found: Sum | None = of_terms({})
    for part in parts:
        found = add(found, part) if found is not None else None
    return found

"""Small and large changes of a row, for what searches by trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.verification.search import values
from toolkit.verification.search.domain import Domain, Row

Array = np.ndarray[Any, Any]
Change = Callable[[Array, Array, Domain, np.random.Generator], Array]


def mutate(row: Row, other: Row, domain: Domain, generator: np.random.Generator) -> Row:
    """A child of a row, with something of another one now and then; usually one input is changed."""
    names = [name for name, array in row.items() if array.size]
    child = dict(row)
    for name in names if generator.random() < 0.2 else [names[int(generator.integers(len(names)))]]:
        array = row[name]
        changes = _FLOATS if array.dtype.kind == "f" else _INTEGERS if name in domain.ranges else _OTHERS
        for _ in range(1 + int(generator.integers(3))):
            change = changes[int(generator.integers(len(changes)))]
            with np.errstate(over="ignore", invalid="ignore"):
                changed = change(child[name], other[name], domain, generator).astype(array.dtype)
            if array.dtype.kind != "f" or np.isfinite(changed).all():
                child[name] = changed
        if name in domain.ranges and not domain.ranges[name].open:
            child[name] = np.clip(child[name], domain.ranges[name].low, domain.ranges[name].high)
    return child


def _some(array: Array, generator: np.random.Generator) -> Array:
    """Which elements to change: one, a few, a slice along an axis, or all."""
    kind = generator.random()
    mask = np.zeros(array.shape, bool)
    if kind < 0.5:
        mask.reshape(-1)[generator.integers(array.size, size=1 + int(3 * (kind < 0.15)))] = True
    elif kind < 0.8 and array.ndim > 1:
        axis = int(generator.integers(1, array.ndim))
        index: list[Any] = [slice(None)] * array.ndim
        index[axis] = int(generator.integers(array.shape[axis]))
        mask[tuple(index)] = True
    else:
        mask[...] = True
    return mask


def _step(array: Array, _: Array, __: Domain, generator: np.random.Generator) -> Array:
    size = 10.0 ** generator.uniform(-4, 1) * (np.abs(array.astype(np.float64)).mean() + 1e-3)
    moved: Array = array + _some(array, generator) * generator.standard_normal(array.shape) * size
    return moved


def _scale(array: Array, _: Array, __: Domain, generator: np.random.Generator) -> Array:
    factor = 10.0 ** generator.uniform(-2, 2) * (1 if generator.random() < 0.7 else -1)
    scaled = np.where(_some(array, generator), array.astype(np.float64) * factor, array)
    return np.clip(scaled, -1e8, 1e8)


def _special(array: Array, _: Array, domain: Domain, generator: np.random.Generator) -> Array:
    listed = values.floats(domain.constants, array.dtype, (0.0, 1.0))
    found: Array = np.where(_some(array, generator), generator.choice(listed), array)
    return found


def _equal(array: Array, _: Array, __: Domain, generator: np.random.Generator) -> Array:
    found: Array = np.where(_some(array, generator), generator.choice(array.reshape(-1)), array)
    return found


def _cross(array: Array, other: Array, _: Domain, generator: np.random.Generator) -> Array:
    if generator.random() < 0.5:
        return np.where(generator.random(array.shape) < generator.random(), array, other)
    return np.where(_some(array, generator), other, array)


def _between(array: Array, other: Array, _: Domain, generator: np.random.Generator) -> Array:
    share = generator.uniform(-0.5, 1.5)
    mixed: Array = array + share * (other.astype(np.float64) - array)
    return mixed


def _other_integer(array: Array, _: Array, domain: Domain, generator: np.random.Generator) -> Array:
    """Any value of any input's range; the caller cuts it to the input's own."""
    low, high = min(r.low for r in domain.ranges.values()), max(r.high for r in domain.ranges.values())
    found: Array = np.where(_some(array, generator), generator.integers(low, high + 1, array.shape), array)
    return found


def _integer_step(array: Array, _: Array, __: Domain, generator: np.random.Generator) -> Array:
    found: Array = np.where(_some(array, generator), array + generator.integers(-2, 3, array.shape), array)
    return found


def _flip(array: Array, other: Array, _: Domain, generator: np.random.Generator) -> Array:
    if array.dtype.kind == "b":
        return np.where(_some(array, generator), ~array, array)
    return np.where(_some(array, generator), other, array)


_FLOATS: tuple[Change, ...] = (_step, _step, _scale, _special, _equal, _cross, _between)
_INTEGERS: tuple[Change, ...] = (_other_integer, _other_integer, _integer_step, _equal, _cross)
_OTHERS: tuple[Change, ...] = (_flip,)

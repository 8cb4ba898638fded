"""Systematic inputs: every size, every magnitude, special values in every place, patterns of elements.

Each sweep is a generator of batches; they are taken in turns, so that a short search has some of each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from toolkit.verification.plan import Batch
from toolkit.verification.search import values
from toolkit.verification.search.domain import Domain, Row

Array = np.ndarray[Any, Any]

_SMALL_SIZES, _LARGEST_SIZE = 64, 513
_MOST_PLACES = 64  # of an input, that every special value is put into
_SIZES_AT_ONCE = 8


def sweeps(domain: Domain, seed: int) -> Iterator[list[Batch]]:
    """All sweeps in turns, some batches at a time."""
    made = [each(domain, np.random.default_rng([seed, index])) for index, each in enumerate(_SWEEPS)]
    while made:
        for each in list(made):
            batches = next(each, None)
            if batches is None:
                made.remove(each)
            else:
                yield batches


def _sizes(domain: Domain, generator: np.random.Generator) -> Iterator[list[Batch]]:
    """Every size of every dimension that may vary, alone; then equal and neighbouring sizes of several."""
    signature, base = domain.signature, domain.sizes
    symbols = sorted(signature.symbols, key=lambda symbol: symbol != signature.batch)
    ladder = [*range(1, _SMALL_SIZES + 2)]
    ladder += [2**p + step for p in range(7, 10) for step in (-1, 0, 1) if 2**p + step <= _LARGEST_SIZE]
    wanted: list[dict[str, int]] = []
    for size in ladder:
        wanted += [{**base, symbol: size} for symbol in symbols if size == signature.sized(symbol, size)]
        if len(symbols) > 1:
            together = {symbol: signature.sized(symbol, size) for symbol in symbols}
            wanted += [{**base, **{s: n for s, n in together.items() if s != signature.batch}}, together]
    made = []
    for sizes in wanted:
        drawn = domain.drawn({**sizes, signature.batch: 1} if signature.batch else sizes, generator)
        rows = [drawn]
        for _ in range(sizes.get(signature.batch or "", 1) - 1):
            other = domain.drawn({**sizes, signature.batch or "": 1}, generator)
            rows.append({**drawn, **{name: other[name] for name in signature.batched}})
        inputs = {
            name: np.concatenate([row[name] for row in rows]) if name in signature.batched else drawn[name]
            for name in signature.input_names
        }
        made.append(Batch("search: sizes", inputs, len(rows)))
        if len(made) == _SIZES_AT_ONCE:
            yield made
            made = []
    if made:
        yield made


def _magnitudes(domain: Domain, generator: np.random.Generator) -> Iterator[list[Batch]]:
    """Ordinary rows scaled by powers of ten, mixed, all positive and all negative; and rows of one value."""

    def rows() -> Iterator[Row]:
        for magnitude, sign in itertools.product(values.MAGNITUDES[::-1], (0, 1, -1)):
            seed = _normal(domain, generator)
            yield _with(seed, {n: _scaled(seed[n], magnitude, sign) for n in domain.floats})
        for magnitude, sign in itertools.product(values.MAGNITUDES, (1, -1)):
            seed = _normal(domain, generator)
            yield _with(seed, {name: np.full_like(seed[name], sign * magnitude) for name in domain.floats})

    if domain.floats:
        yield from ([batch] for batch in domain.batches(rows(), "search: magnitudes"))


def _special(domain: Domain, generator: np.random.Generator) -> Iterator[list[Batch]]:
    """Special values: everywhere, then alone in one place after another among ordinary values and among zeros."""

    def rows() -> Iterator[Row]:
        for name in domain.floats:
            for value in _values(domain, name):
                seed = _normal(domain, generator)
                yield _with(seed, {name: np.full_like(seed[name], value)})
        yield from _mixed(domain, generator, 64)
        for name in domain.floats:
            places = _places(domain.seeds[0][name].size, generator)
            for special, place in itertools.product(_values(domain, name), places):
                yield _placed(_normal(domain, generator), name, [place], [special])

    if domain.floats:
        yield from ([batch] for batch in domain.batches(rows(), "search: special values"))


def _mixed(domain: Domain, generator: np.random.Generator, count: int) -> Iterator[Row]:
    """Rows whose elements are all special values, drawn at random."""
    for _ in range(count):
        seed = _normal(domain, generator)
        drawn = {name: generator.choice(_values(domain, name), seed[name].shape) for name in domain.floats}
        yield _with(seed, drawn)


def _patterns(domain: Domain, generator: np.random.Generator) -> Iterator[list[Batch]]:
    """Equal elements, neighbours, slices and halves; sorted, one-hot, alternating, opposite and constant rows."""

    def rows() -> Iterator[Row]:
        for name in domain.floats:
            for change in _CHANGES:
                seed = _normal(domain, generator)
                yield _with(seed, {name: change(seed[name], generator).astype(seed[name].dtype)})
            size = domain.seeds[0][name].size
            for place, value in itertools.product(_places(size, generator), (1.0, -1.0, 10.0, 1e3)):
                seed = _normal(domain, generator)
                yield _placed(_with(seed, {name: np.zeros_like(seed[name])}), name, [place], [value])
            for first, second in _pairs(size, generator):
                seed = _normal(domain, generator)
                same = seed[name].reshape(-1)[first]
                yield _placed(seed, name, [second], [same])
                yield _placed(_normal(domain, generator), name, [first, second], [same, -same])
        if len(domain.floats) > 1:
            for one, other in itertools.permutations(domain.floats, 2):
                seed = _normal(domain, generator)
                if seed[one].shape == seed[other].shape:
                    yield _with(seed, {one: seed[other]})

    if domain.floats:
        yield from ([batch] for batch in domain.batches(rows(), "search: patterns"))


def _integers(domain: Domain, generator: np.random.Generator) -> Iterator[list[Batch]]:
    """Integers: every value of the range in some place, everywhere, then in every place; equal and sorted rows."""

    def rows() -> Iterator[Row]:
        for name in domain.integers:
            size = domain.seeds[0][name].size
            listed = _integer_values(domain, name)
            for value in listed:
                yield _placed(_normal(domain, generator), name, [int(generator.integers(size))], [value])
                yield _with(_normal(domain, generator), {name: np.full_like(domain.seeds[0][name], value)})
            for _ in range(64):
                seed = _normal(domain, generator)
                drawn = generator.choice(np.array(listed, dtype=seed[name].dtype), seed[name].shape)
                yield _with(seed, {name: drawn})
                yield _with(seed, {name: np.sort(drawn, axis=-1)})
            short = listed if len(listed) <= 512 else list(generator.permutation(listed)[:512])
            for place, value in itertools.product(_places(size, generator), short):
                yield _placed(_normal(domain, generator), name, [place], [int(value)])
            for first, second in itertools.product(short[:64], repeat=2):
                place = int(generator.integers(max(size - 1, 1)))
                yield _placed(_normal(domain, generator), name, [place, min(place + 1, size - 1)], [first, second])

    if domain.integers:
        yield from ([batch] for batch in domain.batches(rows(), "search: integers"))


def _flags(domain: Domain, generator: np.random.Generator) -> Iterator[list[Batch]]:
    """Booleans: none, all, one, all but one."""
    names = [spec.name for spec in domain.signature.inputs if spec.dtype == "bool"]

    def rows() -> Iterator[Row]:
        for name in names:
            for flag in (False, True):
                yield _with(_normal(domain, generator), {name: np.full_like(domain.seeds[0][name], flag)})
                for place in _places(domain.seeds[0][name].size, generator):
                    seed = _normal(domain, generator)
                    yield _placed(_with(seed, {name: np.full_like(seed[name], flag)}), name, [place], [not flag])

    if names:
        yield from ([batch] for batch in domain.batches(rows(), "search: flags"))


_SWEEPS: tuple[Callable[[Domain, np.random.Generator], Iterator[list[Batch]]], ...] = (
    _sizes, _magnitudes, _special, _patterns, _integers, _flags,
)  # fmt: skip

Change = Callable[[Array, np.random.Generator], Array]


def _axis_equal(axis: int, at: int) -> Change:
    """All slices along an axis the same as one."""

    def change(array: Array, _: np.random.Generator) -> Array:
        if array.ndim <= abs(axis) - (axis < 0) or not array.shape[axis]:
            return array
        return np.repeat(np.take(array, [min(at, array.shape[axis] - 1)], axis), array.shape[axis], axis)

    return change


_CHANGES: tuple[Change, ...] = (
    lambda array, _: np.full_like(array, array.reshape(-1)[0]),
    lambda array, _: np.sort(array.reshape(-1)).reshape(array.shape),
    lambda array, _: np.sort(array.reshape(-1))[::-1].reshape(array.shape),
    lambda array, _: np.sort(array, axis=-1),
    lambda array, _: -np.sort(-array, axis=-1),
    lambda array, _: np.where(np.arange(array.size).reshape(array.shape) % 2, -1.0, 1.0) * np.abs(array),
    lambda array, _: np.where(np.arange(array.size).reshape(array.shape) % 2, -1.0, 1.0),
    lambda array, _: np.round(array),
    lambda array, _: np.round(4 * array) / 4,
    lambda array, _: np.sign(array),
    lambda array, _: np.maximum(array, 0.0),
    lambda array, _: np.minimum(array, 0.0),
    lambda array, _: np.arange(array.size, dtype=np.float64).reshape(array.shape),
    lambda array, _: np.where(np.arange(array.size).reshape(array.shape) < array.size // 2, array, 0.0),
    lambda array, _: np.where(np.arange(array.size).reshape(array.shape) < array.size // 2, 0.0, array),
    lambda array, rng: np.where(rng.random(array.shape) < 0.5, 0.0, array),
    lambda array, rng: np.where(rng.random(array.shape) < 0.5, -0.0, array),
    lambda array, rng: array * 10.0 ** rng.uniform(-6, 6, array.shape),
    lambda array, rng: array * 10.0 ** rng.uniform(-40, 2, array.shape),
    lambda array, rng: np.asarray(rng.standard_cauchy(array.shape)),
    *(_axis_equal(axis, at) for axis in (-1, -2, -3, 1) for at in (0, 1)),
)


def _normal(domain: Domain, generator: np.random.Generator) -> Row:
    return domain.seeds[int(generator.integers(domain.ordinary))]


def _with(row: Row, changed: Row) -> Row:
    return {**row, **{name: array.astype(row[name].dtype) for name, array in changed.items()}}


def _placed(row: Row, name: str, places: Sequence[int], chosen: Sequence[Any]) -> Row:
    array = row[name].copy()
    array.reshape(-1)[list(places)] = chosen
    return {**row, name: array}


def _scaled(array: Array, magnitude: float, sign: int) -> Array:
    wide = array.astype(np.float64)
    wide = sign * np.abs(wide) if sign else wide
    found: Array = (magnitude * wide).astype(array.dtype)
    return found


def _values(domain: Domain, name: str) -> Array:
    known = [seed[name] for seed in domain.seeds if seed[name].size]
    ends = min(float(a.min()) for a in known), max(float(a.max()) for a in known)
    return values.floats(domain.constants, domain.seeds[0][name].dtype, ends)


def _integer_values(domain: Domain, name: str) -> list[int]:
    known = domain.ranges[name]
    dtype = domain.seeds[0][name].dtype
    return values.integers(known.low, known.high, dtype, domain.constants, anything=known.open)


def _places(size: int, generator: np.random.Generator) -> list[int]:
    """Every place of a small input; of a large one some, the first and the last among them."""
    if size <= _MOST_PLACES:
        return list(range(size))
    some = generator.choice(size, _MOST_PLACES - 2, replace=False)
    return sorted({0, size - 1, *(int(place) for place in some)})


def _pairs(size: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    pairs = list(itertools.combinations(_places(size, generator), 2))
    if len(pairs) <= 256:
        return pairs
    neighbours = [(place, place + 1) for place in range(min(size - 1, 128))]
    return neighbours + [pairs[i] for i in generator.choice(len(pairs), 256, replace=False)]

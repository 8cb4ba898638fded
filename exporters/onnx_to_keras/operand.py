"""What flows between operator functions: symbolic tensors, constants that no layer holds yet, and sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from toolkit.errors import UnsupportedOperator


class Scope:
    """One model under construction: unique layer names, and the tensor that constants hang on.

    Args:
        anchor: any symbolic tensor of the model; a constant must depend on an input to be part of a functional model.
        dtype: what float32 becomes, or None to leave it.
        plain: whether the model is to be one of Keras' own operations, which files of Keras hold.
        around: the model that this one is a part of; what both read is one layer.
    """

    def __init__(
        self, anchor: KerasTensor | None, dtype: str | None, *, plain: bool = True, around: Scope | None = None
    ) -> None:
        self.dtype = dtype
        self.plain = plain
        self._anchor = anchor
        self.taken: set[str] = set()
        # by what they were made of
        self._layers: dict[Any, list[Any]] = {} if around is None else around._layers  # noqa: SLF001 - of this class
        self.named: set[Any] = set()  # layers and inputs that bear their names from here

    def name(self, wanted: str) -> str:
        """`wanted` as a layer's name, used once.

        Without '/', which HDF5 would take for a folder, and with nothing that TensorFlow refuses in a name scope.
        """
        base = re.sub(r"[^A-Za-z0-9_.>-]+", ".", wanted).strip(".") or "layer"
        base = base if base[0].isalnum() else f"layer{base}"  # a scope may not begin with anything else
        name, count = base, 1
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name

    def array(self, array: Any) -> Any:
        """`array` in the dtype that the model is built in."""
        return array.astype(self.dtype) if self.dtype and array.dtype == np.float32 else array

    def float_dtype(self, dtype: str) -> str:
        return self.dtype if self.dtype and dtype == "float32" else dtype

    def apply(
        self, layer: Any, inputs: Any, weights: list[Any], sources: Sources = (), part: int = 0, **options: Any
    ) -> Any:
        """Call `layer` on `inputs` and give it its weights; or call the one that was made of the same weights before.

        `sources` are the constants that the weights come from; without any the layer is a new one each time. `part`
        tells layers apart that are made of different parts of them.
        """
        same = self.known(layer, weights, sources, part)
        if same is not None:
            return same(inputs, **options)
        self.keep(layer, sources, part)
        with born_with(layer, weights):
            return layer(inputs, **options)

    def known(self, layer: Any, weights: list[Any], sources: Sources, part: int) -> Any:
        """The layer that was made of the same weights before, of the same kind and settings; None if there is none."""
        for settings, other in self._layers.get(_key(layer, sources, part), []):
            if settings == _settings(layer) and _holds(other, weights):
                self.taken.discard(layer.name)
                return other
        return None

    def keep(self, layer: Any, sources: Sources, part: int) -> None:
        """`layer`, which is not built yet, bears a name from here, and its weights are to be read by it alone."""
        self.named.add(layer)
        if any(source is not None and source.origin is not None for source in sources):
            self._layers.setdefault(_key(layer, sources, part), []).append((_settings(layer), layer))

    @cached_property
    def zero(self) -> KerasTensor:
        """A scalar integer 0 that depends on an input: where a constant is looked up."""
        if self._anchor is None:
            raise UnsupportedOperator("a model without inputs has no Keras form")
        corner = self._anchor[tuple(slice(0, 1) for _ in self._anchor.shape)] if self._anchor.shape else self._anchor
        return ops.sum(ops.zeros_like(corner, dtype="int32"))


def _key(layer: Any, sources: Sources, part: int) -> Any:
    return (type(layer), tuple(None if each is None else each.origin for each in sources), part)


def _holds(layer: Any, weights: list[Any]) -> bool:
    held = [np.asarray(weight) for weight in layer.weights]
    return len(held) == len(weights) and all(map(np.array_equal, held, weights))


def _settings(layer: Any) -> dict[str, Any]:
    return {name: value for name, value in layer.get_config().items() if name != "name"}


@contextmanager
def born_with(layer: Any, weights: list[Any]) -> Iterator[None]:
    """Let `layer` make its weights out of these, in their order, instead of numbers that would be overwritten at once.

    Random numbers are slow to draw, and each would be in memory beside the weight that takes its place.
    """
    waiting, made = list(weights), layer.add_weight

    def add_weight(*arguments: Any, **options: Any) -> Any:
        array = waiting.pop(0)

        def value(shape: Any, dtype: Any = None) -> Any:
            if tuple(shape) != array.shape:
                raise ValueError(f"layer '{layer.name}' wants a weight of shape {tuple(shape)}, not {array.shape}")
            return ops.convert_to_tensor(array, dtype)

        return made(*arguments, **{**options, "initializer": value})

    object.__setattr__(layer, "add_weight", add_weight)
    try:
        yield
    finally:
        object.__delattr__(layer, "add_weight")
    if waiting:
        raise ValueError(f"layer '{layer.name}' has {len(weights) - len(waiting)} weights, not {len(weights)}")


_BLOCK = 256  # rows and columns


def contiguous(matrix: Any) -> Any:
    """`matrix` in memory by rows: block by block, since a large transposed one is read across all of it otherwise."""
    if matrix.flags.c_contiguous or matrix.size < _BLOCK**2:
        return np.ascontiguousarray(matrix)
    result = np.empty(matrix.shape, matrix.dtype)
    for i in range(0, matrix.shape[0], _BLOCK):
        for j in range(0, matrix.shape[1], _BLOCK):
            result[i : i + _BLOCK, j : j + _BLOCK] = matrix[i : i + _BLOCK, j : j + _BLOCK]
    return result


@dataclass(frozen=True, eq=False)
class Constant:
    """An initializer: operator functions put it into a layer of their own, or use `tensor`."""

    array: Any
    name: str
    scope: Scope = field(repr=False)
    trained: bool = False  # a weight of the model, which is never computed with while the model is built
    origin: Any = None  # of a weight: where it comes from; equal for what is one weight in the source
    shared: str = ""  # how several nodes read it, one of `sharing`'s

    def with_array(self, array: Any) -> Constant:
        """A part of the same constant, or the same one rearranged."""
        return replace(self, array=array)

    def turn(self) -> None:
        """Hold a matrix by columns, of which the transpose is by rows. Of a large one there is no second copy then."""
        object.__setattr__(self, "array", contiguous(self.array.T).T)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> str:
        return str(self.array.dtype)

    @property
    def is_scalar(self) -> bool:
        return bool(self.array.size == 1)

    @cached_property
    def tensor(self) -> KerasTensor:
        """The constant as a tensor: the one row of an Embedding layer's table, which is a weight and no JSON text."""
        flat = np.ascontiguousarray(self.array).reshape(1, -1)
        # a layer of dtype "bool" does not exist, and one of dtype "int8" is a quantised one
        store = {"bool": "uint8", "int8": "int32"}.get(self.dtype, self.dtype)
        if not flat.size:
            flat = np.zeros((1, 1), flat.dtype)
        table = keras.layers.Embedding(
            1, flat.shape[1], embeddings_initializer="zeros", dtype=store, name=self.scope.name(self.name)
        )
        row = self.scope.apply(table, self.scope.zero, [flat.astype(store)], (self,))
        row = row if self.array.size else row[(slice(0, 0),)]
        row = ops.reshape(row, self.shape)
        return row if store == self.dtype else ops.cast(row, self.dtype)


Sources = Sequence[Constant | None]


@dataclass(frozen=True)
class Size:
    """A size that is known when the model runs: `factor` times an axis of a tensor. Equal symbols are equal sizes."""

    symbol: str
    tensor: Any = field(compare=False, repr=False)
    axis: int = field(compare=False)
    factor: int = 1

    def times(self, factor: int) -> Size:
        return replace(self, factor=self.factor * factor)

    def as_tensor(self) -> KerasTensor:
        """The size as an int64 scalar: so many ones, summed."""
        return ops.sum(self.ones())

    def ones(self) -> KerasTensor:
        """A vector of so many ones."""
        axes = range(len(self.tensor.shape))
        others = [axis for axis in axes if axis != self.axis]
        line = self.tensor
        if others:  # the first line along the axis; summing what may be empty still leaves its length
            line = line[tuple(slice(None) if axis == self.axis else slice(0, 1) for axis in axes)]
            line = ops.sum(ops.zeros_like(line, dtype="int64"), axis=others)
        line = ops.ones_like(line, dtype="int64")
        return line if self.factor == 1 else ops.repeat(line, self.factor)


@dataclass(frozen=True, eq=False)
class Unknown:
    """A size that follows from several others, or that a tensor gives: `make` adds what computes it to the model."""

    make: Callable[[], KerasTensor] = field(repr=False)

    @cached_property
    def value(self) -> KerasTensor:
        return ops.cast(self.make(), "int64")

    def as_tensor(self) -> KerasTensor:
        """The size as an int64 scalar."""
        return self.value

    def ones(self) -> KerasTensor:
        """A vector of so many ones: counting one n gives n zeros and a one."""
        counted = ops.bincount(ops.reshape(ops.cast(self.value, "int32"), (1,)))
        return ops.ones_like(counted[(slice(1, None),)], dtype="int64")


Length = int | Size | Unknown


@dataclass(frozen=True, eq=False)
class Sizes:
    """An integer tensor that was computed from shapes: an object array of int, Size and Unknown."""

    array: Any
    scope: Scope = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> str:
        return "int64"

    @property
    def tensor(self) -> KerasTensor:
        if not self.array.size:
            return Constant(self.array.astype(np.int64), "sizes", self.scope).tensor
        parts = [_size_tensor(item, self.scope) for item in self.array.reshape(-1)]
        return ops.reshape(ops.stack(parts), self.shape)


def _size_tensor(item: Length, scope: Scope) -> KerasTensor:
    return item.as_tensor() if isinstance(item, Size | Unknown) else ops.add(ops.cast(scope.zero, "int64"), int(item))


Operand = KerasTensor | Constant | Sizes


def tensor(value: Any) -> KerasTensor:
    """`value` as a symbolic tensor."""
    return value.tensor if isinstance(value, Constant | Sizes) else value


def length(value: Length, scope: Scope) -> KerasTensor:
    """A size as an int64 scalar."""
    return _size_tensor(value, scope)


def places(value: Length, scope: Scope) -> KerasTensor:
    """The int64 vector 0, 1, 2 ... of so many places."""
    if isinstance(value, int):
        return Constant(np.arange(value), "places", scope).tensor
    return ops.subtract(ops.cumsum(value.ones()), 1)


def size_of(x: KerasTensor, axis: int) -> Length:
    """The size of an axis as it is held: a number where it is known."""
    size = x.shape[axis]
    return size if size is not None else Size(f"{x.name}[{axis}]", x, axis % len(x.shape))


def number(value: Any) -> Any:
    """`value` as what the other operand of a binary operation may be: a Python number where it is one, else a tensor.

    A number broadcasts without raising the rank, so callers check that the other operand's rank is not smaller.
    """
    return value.array.item() if isinstance(value, Constant) and value.is_scalar else tensor(value)

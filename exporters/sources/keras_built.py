"""The inputs of a subclassed Keras model that was called or built: Keras keeps the shapes of its first argument."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
# Shapes as Keras keeps them: a tuple of sizes (None: any), or tuples, lists and dicts of them.
Shapes = Any

_ANY = 8  # a size where Keras knows none
_MOST = 6  # inputs, of which each may be of integers


def shapes_of(model: Any) -> Shapes | None:
    """The shapes that a model was built with; None where it was not, or not with one argument."""
    known = getattr(model, "_build_shapes_dict", None)
    return next(iter(known.values())) if known and len(known) == 1 else None


def flat(shapes: Shapes) -> list[tuple[int | None, ...]]:
    """The shapes of the tensors, in order."""
    if isinstance(shapes, dict):
        return [shape for each in shapes.values() for shape in flat(each)]
    if all(size is None or isinstance(size, int) for size in shapes):
        return [tuple(shapes)]
    return [shape for each in shapes for shape in flat(each)]


def example(keras: Any, model: Any, shapes: Shapes) -> Any | None:
    """Inputs of those shapes that the model takes; None where it takes none.

    Keras keeps no dtypes: they are integers where embeddings look them up, and float32 elsewhere.
    """
    count = len(flat(shapes))
    if count > _MOST:
        return None
    wanted = sorted(itertools.product(("float32", "int32"), repeat=count), key=lambda dtypes: dtypes.count("int32"))
    return next((found for dtypes in wanted if _takes(keras, model, found := _filled(shapes, iter(dtypes)))), None)


def _filled(shapes: Shapes, dtypes: Iterator[str]) -> Any:
    if isinstance(shapes, dict):
        return {key: _filled(each, dtypes) for key, each in shapes.items()}
    if all(size is None or isinstance(size, int) for size in shapes):
        return np.zeros([_ANY if size is None else size for size in shapes], next(dtypes))
    return type(shapes)(_filled(each, dtypes) for each in shapes)


def _takes(keras: Any, model: Any, values: Any) -> bool:
    with _lookups(keras) as looked_up:
        try:
            model(values)
        except Exception:  # noqa: BLE001 - a user's model raises whatever it likes of what it does not take
            return False
    return all(dtype.startswith(("int", "uint")) for dtype in looked_up)


@contextlib.contextmanager
def _lookups(keras: Any) -> Iterator[list[str]]:
    """The dtypes that embeddings were asked with: they take floats as well, and cut them."""
    layer = keras.layers.Embedding
    original, seen = layer.call, []

    def call(self: Any, inputs: Any) -> Any:
        seen.append(keras.backend.standardize_dtype(inputs.dtype))
        return original(self, inputs)

    layer.call = call
    try:
        yield seen
    finally:
        layer.call = original

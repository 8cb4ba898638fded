"""While a model is traced for LiteRT, some of Keras' operations are others, made of what LiteRT has operators for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from exporters.litert import integers, loops, means


@contextlib.contextmanager
def replacing() -> Iterator[None]:
    """Keras' own operations are put aside for as long as a model is traced."""
    from keras.src import backend

    table = {
        (backend, "rnn"): lambda _: loops.rnn,
        (backend.numpy, "bincount"): integers.bincount,
        (backend.numpy, "floor_divide"): integers.floor_divide,
        (backend.numpy, "mean"): means.by_axis,
        (backend.numpy, "sum"): means.by_axis,
    }
    own = {(module, name): getattr(module, name) for module, name in table}
    for (module, name), make in table.items():
        setattr(module, name, make(own[module, name]))
    try:
        yield
    finally:
        for (module, name), function in own.items():
            setattr(module, name, function)

"""Small graphs at the places where converters are known to go wrong without a word.

Each has its expected values from onnx.reference, or in numbers where the reference itself does not follow the
specification. An axis whose size differs between the two sets of inputs is a symbol in the graph.
"""

from __future__ import annotations

from onnx.reference import ReferenceEvaluator

from tests.importers import recurrent_cases
from tests.importers.cases import Case
from tests.importers.traps import (
    elementwise,
    free_sizes,
    graphs,
    integers,
    moves,
    normalisations,
    products,
    reductions,
    resizes,
    windows,
)
from tests.importers.traps.trap import Trap, f

__all__ = ["REFUSED_BY_KERAS", "Trap", "all_traps", "cases", "f"]


def all_traps() -> list[Trap]:
    families = (
        integers.casts,
        integers.integers,
        reductions.reductions,
        elementwise.elementwise,
        moves.moves,
        windows.windows,
        normalisations.normalisations,
        resizes.resizes,
        products.products,
        graphs.graphs,
        free_sizes.free_sizes,
    )
    return [trap for family in families for trap in family()]


# Loops that are layers, which are named after their forms in `recurrent_cases`.
LOOPS = ("lstm, transposed weights, two biases", "gru, update exchanged", "gru, reset after", "rnn")


def loop_case(name: str) -> Case:
    model, data = recurrent_cases.FORMS[name].model(), []
    for sizes in ({"T": 1, "B": 1}, {"T": 4, "B": 3}):
        feeds = recurrent_cases.arrays(model, sizes)
        data.append((list(feeds.values()), list(ReferenceEvaluator(model).run(None, feeds))))
    return Case(name, model, data, 1e-5, 3e-6)


def cases() -> list[Case]:
    return [trap.case() for trap in all_traps()] + [loop_case(name) for name in LOOPS]


# What the Keras importer refuses, and says so.
REFUSED_BY_KERAS = frozenset({
    "cast_FLOAT8E4M3FNUZ_saturate0", "cast_FLOAT8E4M3FNUZ_saturate1",
    "cast_FLOAT8E4M3FN_saturate0", "cast_FLOAT8E4M3FN_saturate1", "cast_FLOAT8E5M2FNUZ_saturate0",
    "cast_FLOAT8E5M2FNUZ_saturate1", "cast_FLOAT8E5M2_saturate0", "cast_FLOAT8E5M2_saturate1",
    "cast_float_to_int4", "cast_float_to_uint4",
}) | {trap.name for trap in integers.casts() if trap.name.startswith("cast_every_half")}  # fmt: skip

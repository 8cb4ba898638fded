"""Names for an output's dimensions: one that follows an input's dimension bears its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from exporters.sources import examples, multiples
from toolkit.runtime.runner import Runner
from toolkit.signature import Dim, Signature, TensorSpec

Array = np.ndarray[Any, Any]

_RANKS = 8


def named(runner: Runner) -> Signature:
    """The runner's signature, after two runs at sizes that are all different. A framework's graph knows an output's
    unknown size only as unknown; one that has an input's size both times is called like it, the others stay.
    """
    signature = runner.signature = _fitting(_agreeing(runner), runner)
    known = set(signature.symbols)
    if all(set(spec.dynamic_dims.values()) <= known for spec in signature.outputs):
        return signature
    chosen = [examples.sizes(signature, step) for step in (0, 1)]
    try:
        runs = [runner.run(examples.arrays(signature, sizes, like=runner.given)) for sizes in chosen]
    except Exception:  # noqa: BLE001 - whatever a framework raises of a size that the model does not take: no names then
        return signature
    return replace(signature, outputs=tuple(_spec(spec, known, chosen, runs) for spec in signature.outputs))


def _agreeing(runner: Runner) -> Signature:
    """The runner's signature; where the model does not take inputs of different sizes along an axis whose sizes nobody
    named, they are one size. (TensorFlow and Keras do not say: of ids and their mask it is, of two texts it is not.)
    """
    signature = runner.signature
    tied = _tied(signature)
    if len(tied.symbols) == len(signature.symbols) or _runs(runner):
        return signature
    runner.signature = tied
    if not _runs(runner):
        runner.signature = signature
        return signature
    runner.notes.append("inputs have one size along an axis: the model raised where they had two")
    return tied


def _fitting(signature: Signature, runner: Runner) -> Signature:
    """The signature; where the model takes not every size, with what its sizes are multiples of."""
    runner.signature = signature
    if set(signature.symbols) <= {signature.batch} or _runs(runner):
        return signature

    def takes(candidate: Signature) -> bool:
        runner.signature = candidate
        return _runs(runner)

    found = multiples.taken(signature, takes)
    if found is None:
        return signature
    runner.notes.append(multiples.words(found))
    return found


def _tied(signature: Signature) -> Signature:
    """One symbol for all unnamed sizes along an axis of several inputs."""
    unnamed = {axis: [f"{spec.name}_{axis}" for spec in signature.inputs] for axis in range(1, _RANKS)}
    symbols = {name: f"size_{axis}" for axis, names in unnamed.items() for name in names}
    return replace(
        signature,
        inputs=tuple(_renamed(spec, symbols) for spec in signature.inputs),
        outputs=tuple(_renamed(spec, symbols) for spec in signature.outputs),
    )


def _renamed(spec: TensorSpec, symbols: Mapping[str, str]) -> TensorSpec:
    return replace(spec, shape=tuple(symbols.get(dim, dim) if isinstance(dim, str) else dim for dim in spec.shape))


def _runs(runner: Runner) -> bool:
    try:
        for step in (0, 1):
            runner.run(examples.arrays(runner.signature, examples.sizes(runner.signature, step), like=runner.given))
    except Exception:  # noqa: BLE001 - whatever a framework raises of a size that the model does not take
        return False
    return True


def _spec(
    spec: TensorSpec, known: set[str], chosen: Sequence[Mapping[str, int]], runs: Sequence[Mapping[str, Array]]
) -> TensorSpec:
    shape: list[Dim] = list(spec.shape)
    for axis, symbol in spec.dynamic_dims.items():
        found = tuple(run[spec.name].shape[axis] for run in runs)
        alike = [name for name in chosen[0] if tuple(sizes[name] for sizes in chosen) == found]
        if symbol not in known and len(alike) == 1:
            shape[axis] = alike[0]
    return replace(spec, shape=tuple(shape))

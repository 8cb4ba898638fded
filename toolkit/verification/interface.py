"""Do two models take and return the same things? Names, dtypes, ranks and fixed sizes, before anything is run."""

from __future__ import annotations

from toolkit.signature import Signature, TensorSpec
from toolkit.verification.compare import Mismatch


def mismatches(source: Signature, export: Signature) -> list[Mismatch]:
    """Inputs and outputs by name and dtype; a missing one is a mismatch, and so is an extra one."""
    found: list[Mismatch] = []
    for side, ours, theirs in (("input", source.inputs, export.inputs), ("output", source.outputs, export.outputs)):
        wanted, given = ({spec.name: spec for spec in specs} for specs in (ours, theirs))
        found += [
            Mismatch(f"{side} '{name}'", f"the {side} is missing in the file") for name in wanted if name not in given
        ]
        found += [
            Mismatch(f"{side} '{name}'", f"the file has an {side} that the source has not")
            for name in given
            if name not in wanted
        ]
        found += [
            Mismatch(f"{side} '{name}'", f"the {side} is {_type(given[name])} where the source has {_type(spec)}")
            for name, spec in wanted.items()
            if name in given and not _fits(spec, given[name])
        ]
    return found


def _fits(source: TensorSpec, export: TensorSpec) -> bool:
    """Same dtype and rank, and no dimension fixed that the source leaves free."""
    if source.dtype != export.dtype or len(source.shape) != len(export.shape):
        return False
    pairs = zip(source.shape, export.shape, strict=True)
    return all(isinstance(theirs, str) or theirs == ours for ours, theirs in pairs)


def _type(spec: TensorSpec) -> str:
    return f"{spec.dtype}[{','.join(map(str, spec.shape))}]"

"""Sizes of which a model takes only multiples: a U-Net halves a picture and joins it with what it was before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from toolkit.signature import Signature

# From what halving, patches and windows ask for, the smallest first.
_TRIED = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 128)


def candidates(signature: Signature) -> Iterator[Signature]:
    """The signature with all free sizes but the batch as multiples of a number, where nobody said of what."""
    free = [symbol for symbol in signature.symbols if symbol != signature.batch]
    if not free or signature.multiples:
        return
    for multiple in _TRIED:
        yield replace(signature, multiples=tuple((symbol, multiple) for symbol in sorted(free)))


def taken(signature: Signature, takes: Callable[[Signature], bool]) -> Signature | None:
    """The first of the candidates that the model takes; None where it takes none."""
    return next((candidate for candidate in candidates(signature) if takes(candidate)), None)


def words(signature: Signature) -> str:
    """For the notes of a source."""
    names = ", ".join(symbol for symbol, _ in signature.multiples)
    return f"sizes are multiples of {signature.multiples[0][1]} ({names}): the model raised at others"

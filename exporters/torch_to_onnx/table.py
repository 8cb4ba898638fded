"""The table: PyTorch function or operator -> the same in terms of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Spelling = Callable[..., Any]

TABLE: dict[Any, Spelling] = {}


def spells(*functions: Any) -> Callable[[Spelling], Spelling]:
    """Enter a spelling for some functions that take the same arguments.

    It may return NotImplemented for arguments that it has no form of; the function then stays as it is.
    """

    def enter(spelling: Spelling) -> Spelling:
        for function in functions:
            assert function not in TABLE, function
            TABLE[function] = spelling
        return spelling

    return enter

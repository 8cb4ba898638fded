"""Watch a PyTorch module for the tables that it looks up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_LOOKUPS = frozenset({"embedding", "embedding_bag", "_embedding_bag", "_embedding_bag_forward_only"})


class Lookups(TorchDispatchMode):
    """While it is entered, `rows` collects the sizes of embeddings whose indices lie at one of the given places."""

    def __init__(self, places: Mapping[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch left it without types
        self.places = places
        self.rows: list[tuple[str, int]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if function.overloadpacket.__name__ in _LOOKUPS and args[1].data_ptr() in self.places:
            self.rows.append((self.places[args[1].data_ptr()], int(args[0].shape[0])))
        return function(*args, **(kwargs or {}))

"""Watch a PyTorch module for the tables that it looks up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporters.sources.torch_mode import Mode

_LOOKUPS = frozenset({"embedding", "embedding_bag", "_embedding_bag", "_embedding_bag_forward_only"})


class Lookups(Mode):
    """While it is entered, `rows` collects the sizes of embeddings whose indices lie at one of the given places."""

    def __init__(self, places: Mapping[int, str]) -> None:
        super().__init__()
        self.places = places
        self.rows: list[tuple[str, int]] = []

    def operator(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if function.overloadpacket.__name__ in _LOOKUPS and args[1].data_ptr() in self.places:
            self.rows.append((self.places[args[1].data_ptr()], int(args[0].shape[0])))
        return function(*args, **kwargs)

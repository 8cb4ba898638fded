"""The names and sizes of the tensors in a PyTorch checkpoint, without PyTorch and without running what is pickled.

Python's own unpickler builds the structure, and every class and function that the pickle names is replaced by an inert
one of ours, so that nothing of the file's choosing is ever called.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

_LARGEST = 64 << 20


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file; `storage` tells which of them share their numbers."""

    storage: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """What a checkpoint holds: its keys with what is under them, and how many numbers its weights are.

    `wrapped` says that the weights lie under a key, with other things beside them.
    """

    keys: tuple[str, ...]
    parameters: int
    wrapped: bool
    lightning: str | None


def read(path: Path) -> Found | None:
    """What lies in a file of `torch.save`; None for one of another layout."""
    loaded = _structure(path)
    if not isinstance(loaded, Mapping):
        return None
    inside = {str(key): value for key, value in loaded.items()}
    own = {name: item for name, item in inside.items() if isinstance(item, Tensor)}
    holders = {name: found for name, item in inside.items() if (found := list(_tensors(item))) and name not in own}
    weights = list(own.values()) or max(holders.values(), key=len, default=[])
    version = inside.get("pytorch-lightning_version")
    return Found(
        tuple(f"{name} ({len(holders[name])} tensors)" if name in holders else name for name in inside)[:20],
        sum({tensor.storage: prod(tensor.shape) for tensor in weights}.values()),
        not own,
        version if isinstance(version, str) else None,
    )


def _tensors(item: Any) -> Iterator[Tensor]:
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, Mapping):
        for value in item.values():
            yield from _tensors(value)


def _structure(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            if archive.getinfo(name).file_size > _LARGEST:
                return None
            return _Reader(io.BytesIO(archive.read(name))).load()
    except Exception:  # noqa: BLE001 - a damaged or strange pickle raises anything; then nothing is told of its tensors
        return None


class _Inert:
    """Stands for whatever a pickle names: it takes all that is done to it, and does nothing."""

    def __init__(self, *arguments: Any, **_: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.arguments = (*self.arguments, state)

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        pass

    def extend(self, items: Any) -> None:
        pass


class _Dict(dict[Any, Any]):
    """A dictionary that takes a state, as OrderedDict does."""

    def __setstate__(self, state: Any) -> None:
        pass


def _rebuilt(storage: Any, _offset: Any, shape: Any, *_: Any) -> Any:
    sizes = tuple(size for size in shape if isinstance(size, int))
    return Tensor(str(storage), sizes)


def _parameter(data: Any, *_: Any) -> Any:
    return data


_KNOWN: dict[str, Any] = {
    "collections.OrderedDict": _Dict,
    "torch._utils._rebuild_tensor": _rebuilt,
    "torch._utils._rebuild_tensor_v2": _rebuilt,
    "torch._utils._rebuild_parameter": _parameter,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _KNOWN.get(f"{module}.{name}", _Inert)

    def persistent_load(self, pid: Any) -> Any:
        return str(pid[2])  # ("storage", its type, its key, its place, how many numbers)

"""The attributes at the top of an HDF5 file, which say who wrote it; nothing else of it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.formats import HDF5_MAGIC


def read(path: Path) -> dict[str, str] | None:
    """Attributes by name; None for what is no HDF5 file, a damaged one, or where h5py is not installed."""
    with path.open("rb") as file:
        if file.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            return None
    try:
        import h5py
    except ModuleNotFoundError:
        return None  # what opens it runs elsewhere, and says what is wrong with it
    try:
        with h5py.File(path, "r") as file:
            return {str(name): text(value) for name, value in file.attrs.items()}
    except OSError:
        return None


def text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

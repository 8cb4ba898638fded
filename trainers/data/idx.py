"""IDX, the format of MNIST and Fashion-MNIST: a big-endian header (magic, one size per axis), then bytes.

Format: http://yann.lecun.com/exdb/mnist/. A file may be gzipped. Everything is checked before it is used, and no more
is inflated than the header promises.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from toolkit.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IMAGES = 0x00000803  # unsigned bytes, three axes
_LABELS = 0x00000801  # unsigned bytes, one axis
_LARGEST = 1 << 31  # bytes; the largest file of these data sets holds 47 million
_GZIP = b"\x1f\x8b"


def read_images(path: Path, size: tuple[int, int] = (28, 28)) -> NDArray[np.uint8]:
    """Images (count, *size) of 0..255. Raises BadInput for anything else than a whole, well-formed file."""
    images = _read(path, _IMAGES, axes=3)
    if images.shape[1:] != size:
        found = "x".join(map(str, images.shape[1:]))
        raise BadInput(f"its images are {found}; this model takes {size[0]}x{size[1]}", where=str(path))
    return images


def read_labels(path: Path, classes: int = 10) -> NDArray[np.int64]:
    """Labels (count,) of 0..classes-1. Raises BadInput for anything else than a whole, well-formed file."""
    labels = _read(path, _LABELS, axes=1).astype(np.int64)
    wrong = np.flatnonzero(labels >= classes)
    if wrong.size:
        raise BadInput(
            f"label {labels[wrong[0]]} of item {wrong[0]} is out of range 0..{classes - 1}",
            where=str(path),
        )
    return labels


def _read(path: Path, magic: int, axes: int) -> NDArray[np.uint8]:
    try:
        with _open(path) as file:
            shape = _header(file, path, magic, axes)
            wanted = math.prod(shape)
            data = file.read(wanted + 1)
    except FileNotFoundError:
        raise BadInput("the file does not exist", where=str(path)) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"the gzip data is damaged ({error})", where=str(path)) from None
    if len(data) != wanted:
        found = "more" if len(data) > wanted else str(len(data))
        raise BadInput(f"the header promises {wanted} bytes of data and the file holds {found}", where=str(path))
    return np.frombuffer(data, np.uint8).reshape(shape)


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value]  # GzipFile reads alike


def _header(file: BinaryIO, path: Path, magic: int, axes: int) -> tuple[int, ...]:
    header = file.read(4 + 4 * axes)
    if len(header) < 4 + 4 * axes:
        raise BadInput(f"the file ends within its header, after {len(header)} bytes", where=str(path))
    found, *shape = np.frombuffer(header, ">u4").tolist()
    if found != magic:
        raise BadInput(
            f"its magic number is 0x{found:08x}; an IDX file of {'images' if axes == 3 else 'labels'} "
            f"starts with 0x{magic:08x}",
            where=str(path),
        )
    if math.prod(shape) > _LARGEST:
        raise BadInput(f"its header promises {math.prod(shape)} bytes, more than any known data set", where=str(path))
    return tuple(shape)

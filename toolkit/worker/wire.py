"""Messages between parent and worker: a JSON header and raw tensors, laid out as safetensors lays them out.

One frame is: 8 bytes, little-endian length of the header; the header, JSON; the tensors' bytes, one after the other.
The header holds the message under "message" and, for each array in it, dtype, shape and offsets under "tensors"; in the
message an array is replaced by {"$tensor": index}. Strings travel as JSON, bfloat16 as its two bytes with its name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MAX_HEADER = 64 * 1024 * 1024
_TENSOR = "$tensor"
_STRINGS = "$strings"
_FLOAT = "$float"  # JSON has no word for NaN and the infinities


class Stream(Protocol):
    """What a message is written to or read from; both ends may take or give fewer bytes than asked for."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...
    def write(self, data: memoryview, /) -> int | None: ...


class Malformed(Exception):
    """The other side wrote something that is not a frame."""


class CutShort(Malformed):
    """The stream ended inside a frame: the other side died while it wrote."""


def write(stream: Stream, message: Any) -> None:
    """Send one message: JSON values, with NumPy arrays anywhere in it."""
    tensors: list[Array] = []
    packed = _pack(message, tensors)
    entries = []
    offset = 0
    for tensor in tensors:
        entries.append(
            {"dtype": tensor.dtype.name, "shape": tensor.shape, "data_offsets": [offset, offset + tensor.nbytes]}
        )
        offset += tensor.nbytes
    header = json.dumps({"message": packed, "tensors": entries}, allow_nan=False, separators=(",", ":")).encode()
    _write_all(stream, memoryview(len(header).to_bytes(8, "little") + header))
    for tensor in tensors:
        if tensor.nbytes:
            _write_all(stream, tensor.reshape(-1).view("uint8").data)


def read(stream: Stream) -> Any:
    """Receive one message. Raises EOFError where the stream ends between frames, Malformed where it is no frame."""
    prefix = _read(stream, 8, at_start=True)
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER:
        raise Malformed(f"{bytes(prefix)!r}")
    raw = _read(stream, length)
    try:
        header = json.loads(raw)
        tensors: list[Array] = []
        offset = 0
        for entry in header["tensors"]:
            tensors.append(_read_tensor(stream, entry, offset))
            offset += tensors[-1].nbytes
        return _unpack(header["message"], tensors)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, MemoryError) as error:
        raise Malformed(f"a header that cannot be read ({error!r})") from error


def _read_tensor(stream: Stream, entry: Mapping[str, Any], offset: int) -> Array:
    import numpy as np

    dtype = dtype_of(entry["dtype"])
    start, end = entry["data_offsets"]
    if start != offset:
        raise Malformed(f"a tensor at byte {start} where byte {offset} comes next")
    if end - start != math.prod(entry["shape"]) * dtype.itemsize:
        raise Malformed(f"a tensor of {end - start} bytes for the {dtype} shape {entry['shape']}")
    return np.frombuffer(_read(stream, end - start), dtype).reshape(entry["shape"])


def _read(stream: Stream, count: int, *, at_start: bool = False) -> bytearray:
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        got = stream.readinto(view)
        if not got:
            if at_start and len(view) == count:
                raise EOFError
            raise CutShort("a frame that ends early")
        view = view[got:]
    return buffer


def _write_all(stream: Stream, view: memoryview) -> None:
    while view:
        view = view[stream.write(view) or 0 :]


def dtype_of(name: str) -> np.dtype[Any]:
    """The NumPy dtype of that name; bfloat16 comes from ml_dtypes, which every framework brings along."""
    import numpy as np

    if name == "bfloat16":
        import ml_dtypes

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(name)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether its values are floats; bfloat16 is one, though NumPy itself does not know it."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def largest(dtype: np.dtype[Any]) -> float:
    """The largest finite float of a dtype."""
    return float(_limits(dtype).max)


def smallest_normal(dtype: np.dtype[Any]) -> float:
    """The smallest float of a dtype that has all of its digits."""
    return float(_limits(dtype).smallest_normal)


def precision(dtype: np.dtype[Any]) -> float:
    """The spacing of a dtype's floats at 1."""
    return float(_limits(dtype).eps)


def _limits(dtype: np.dtype[Any]) -> Any:
    import numpy as np

    if dtype.name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.finfo(dtype)
    return np.finfo(dtype)


def _pack(value: Any, tensors: list[Array]) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {_FLOAT: repr(value)}
        case Mapping():
            return {_escaped(str(key)): _pack(item, tensors) for key, item in value.items()}
        case list() | tuple():
            return [_pack(item, tensors) for item in value]
    import numpy as np

    if isinstance(value, np.generic):
        return _pack(value.item(), tensors)
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OSUT":
            strings = [item.decode() if isinstance(item, bytes) else str(item) for item in value.reshape(-1)]
            return {_STRINGS: strings, "shape": list(value.shape)}
        native = value.astype(value.dtype.newbyteorder("="), copy=False)
        tensors.append(np.ascontiguousarray(native).reshape(value.shape))
        return {_TENSOR: len(tensors) - 1}
    raise TypeError(f"a message holds JSON values and arrays, not {type(value).__name__}")


def _unpack(value: Any, tensors: list[Array]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _FLOAT in value:
        return float(value[_FLOAT])
    if _STRINGS in value:
        import numpy as np

        return np.array(value[_STRINGS], dtype=object).reshape(value["shape"])
    return {key.removeprefix("$"): _unpack(item, tensors) for key, item in value.items()}


def _escaped(key: str) -> str:
    """A key of the message's own that looks like one of ours gets a second "$"; names come out of strangers' files."""
    return f"${key}" if key.startswith("$") else key

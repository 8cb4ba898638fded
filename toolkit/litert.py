"""What a LiteRT file (.tflite) holds, read from its FlatBuffer alone: operators, signature, weights. No framework.

Numbers of fields are those of TensorFlow Lite's schema, version 3; `litert.txt` has the names of its operators, by
their codes. What a file says of its own sizes is never believed: every read is bounded by the file.
"""

from __future__ import annotations

import mmap
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from toolkit.errors import BadInput
from toolkit.signature import Dim, Signature, TensorSpec

IDENTIFIER = b"TFL3"  # bytes 4 to 8
FLEX = "Flex"  # custom operators of this prefix are TensorFlow's own
_TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool", 7: "int16",
          9: "int8", 10: "float64", 12: "uint64", 15: "uint32", 16: "uint16", 18: "bfloat16"}  # fmt: skip
_WIDTHS = {"float32": 4, "float16": 2, "float64": 8, "bfloat16": 2, "int8": 1}
_CUSTOM = 32
_MOST = 1 << 24  # entries of a vector; more is damage


@dataclass(frozen=True)
class Weight:
    """A float tensor that is stored in the file, or one quantised to 8 bits: where its bytes are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class Content:
    """`operators` by name, `custom` those that no runtime brings; `signature` of the first signature or subgraph."""

    operators: Mapping[str, int]
    custom: tuple[str, ...]
    signature: Signature
    weights: tuple[Weight, ...]


def is_litert(path: Path) -> bool:
    """Whether a file bears the format's mark."""
    with path.open("rb") as file:
        return file.read(8)[4:] == IDENTIFIER


def read(path: Path) -> Content:
    """Raises BadInput for a file that is truncated or damaged."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _content(_Table(data, _root(data)))
        except (struct.error, IndexError, ValueError, OverflowError, UnicodeDecodeError, BadInput) as error:
            raise BadInput(
                f"it is no LiteRT file, or a truncated one ({error})",
                where=str(path),
                hint="Export or copy it again.",
            ) from None


class _Table:
    """One table of a FlatBuffer: its fields by number."""

    def __init__(self, data: mmap.mmap, place: int) -> None:
        self.data, self.place = data, place
        self.fields = place - self._unpack("<i", place)

    def _unpack(self, form: str, place: int) -> int:
        if place < 0:
            raise IndexError("an offset leads out of the file")
        return int(struct.unpack_from(form, self.data, place)[0])

    def _field(self, number: int) -> int:
        """Where a field stands; 0 where it has its default."""
        entry = 4 + 2 * number
        if entry >= self._unpack("<H", self.fields):
            return 0
        offset = self._unpack("<H", self.fields + entry)
        return self.place + offset if offset else 0

    def number(self, number: int, form: str = "<i") -> int:
        place = self._field(number)
        return self._unpack(form, place) if place else 0

    def _target(self, number: int) -> int:
        place = self._field(number)
        return place + self._unpack("<I", place) if place else 0

    def vector(self, number: int) -> tuple[int, int]:
        """Where a vector's elements start, and how many there are."""
        place = self._target(number)
        return (place + 4, self._unpack("<I", place)) if place else (0, 0)

    def text(self, number: int) -> str:
        start, size = self.vector(number)
        if start + size > len(self.data):
            raise IndexError("a text leads out of the file")
        return self.data[start : start + size].decode()

    def numbers(self, number: int) -> tuple[int, ...]:
        start, size = self.vector(number)
        if start + 4 * size > len(self.data):
            raise IndexError("a list leads out of the file")
        return struct.unpack_from(f"<{size}i", self.data, start) if size else ()

    def tables(self, number: int) -> Iterator[_Table]:
        start, size = self.vector(number)
        if size > _MOST:
            raise IndexError("a list is longer than any model's")
        for index in range(size):
            place = start + 4 * index
            yield _Table(self.data, place + self._unpack("<I", place))


def _root(data: mmap.mmap) -> int:
    if data[4:8] != IDENTIFIER:
        raise ValueError("it lacks the mark TFL3")
    return int(struct.unpack_from("<I", data, 0)[0])


def _content(model: _Table) -> Content:
    codes = [_operator(code) for code in model.tables(1)]
    graphs = list(model.tables(2))
    buffers = [_bytes_of(buffer) for buffer in model.tables(4)]
    counts: Counter[str] = Counter()
    for graph in graphs:
        counts.update(codes[operator.number(0, "<I")][0] for operator in graph.tables(3))
    custom = tuple(sorted({name for name, is_custom in codes if is_custom}))
    return Content(dict(counts.most_common()), custom, _signature(model, graphs), tuple(_weights(graphs, buffers)))


@cache
def names() -> tuple[str, ...]:
    """The names of the operators that every runtime brings, by code."""
    return tuple(files("toolkit").joinpath("litert.txt").read_text(encoding="ascii").split())


def _operator(code: _Table) -> tuple[str, bool]:
    """An operator's name, and whether it is a custom one. Old files have a byte for its code, newer ones a number."""
    number = max(code.number(0, "<b"), code.number(3))
    if number == _CUSTOM:
        return code.text(1), True
    return (names()[number], False) if 0 <= number < len(names()) else (f"operator {number}", True)


def _bytes_of(buffer: _Table) -> tuple[int, int]:
    """Where a buffer's bytes are: inside the FlatBuffer, or behind it in files above 2 GB."""
    outside = buffer.number(1, "<Q")
    start, size = (outside, buffer.number(2, "<Q")) if outside > 1 else buffer.vector(0)
    if start + size > len(buffer.data):
        raise IndexError("a buffer leads out of the file")
    return start, size


def _weights(graphs: list[_Table], buffers: list[tuple[int, int]]) -> Iterator[Weight]:
    for graph in graphs:
        for tensor in graph.tables(0):
            dtype = _TYPES.get(tensor.number(1, "<b"), "")
            start, size = buffers[tensor.number(2, "<I")]
            shape = tensor.numbers(0)
            if dtype in _WIDTHS and size and size == _WIDTHS[dtype] * _product(shape):
                yield Weight(tensor.text(3), dtype, shape, start, size)


def _signature(model: _Table, graphs: list[_Table]) -> Signature:
    """By the names of the first signature; a file without one has the names of its tensors."""
    tensors = list(graphs[0].tables(0))
    listed = next(model.tables(7), None)
    if listed is None:
        inputs, outputs = ([(tensors[i].text(3), i) for i in graphs[0].numbers(number)] for number in (1, 2))
    else:
        inputs, outputs = ([(item.text(0), item.number(1, "<I")) for item in listed.tables(n)] for n in (0, 1))
    return Signature(
        tuple(_spec(name, tensors[index]) for name, index in inputs),
        tuple(_spec(name, tensors[index]) for name, index in outputs),
    )


def _spec(name: str, tensor: _Table) -> TensorSpec:
    shape = tensor.numbers(7) or tensor.numbers(0)
    dims: list[Dim] = [
        size if size >= 0 else ("batch" if axis == 0 else f"{name}_{axis}") for axis, size in enumerate(shape)
    ]
    return TensorSpec(name, _TYPES.get(tensor.number(1, "<b"), "unknown"), tuple(dims))


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total

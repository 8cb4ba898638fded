"""A declared pipeline from a picture to a model's input: what it consists of, read from a table and checked.

    resize = 256                # the shortest side; or [height, width]
    filter = "bilinear"         # nearest, bilinear, bicubic
    antialias = true
    crop = 224                  # from the middle; or [height, width]
    scale = 0.00392156862745098
    mean = [0.485, 0.456, 0.406]
    std = [0.229, 0.224, 0.225]
    channels = "rgb"            # or "bgr"
    layout = "nchw"             # or "nhwc"

Steps are done in this order. A pipeline is data: `toolkit.runtime.pictures` carries it out in NumPy, and
`exporters.graph.pictures` writes it as an ONNX graph.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from toolkit.errors import BadInput

TABLE = "preprocess"
FILTERS = ("nearest", "bilinear", "bicubic")
CHANNELS = ("rgb", "bgr")
LAYOUTS = ("nchw", "nhwc")

Sides = tuple[int, int]


def read(path: Path) -> Pipeline:
    """A pipeline from a TOML or JSON file, at its top or in its table "preprocess". Raises BadInput."""
    import json
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (FileNotFoundError, IsADirectoryError):
        raise BadInput("there is no such file", where=str(path), hint="Give a TOML or JSON file.") from None
    except ValueError as error:  # of both languages, and of UTF-8
        raise BadInput(f"it is neither TOML nor JSON ({error})", where=str(path)) from None
    found = table.get(TABLE, table) if isinstance(table, dict) else table
    if not isinstance(found, dict):
        raise BadInput("it holds no table of a pipeline's steps", where=str(path))
    return from_table(found, str(path))


@dataclass(frozen=True)
class Pipeline:
    """From raw pictures, uint8 of shape (batch, height, width, 3) in RGB order, to float32.

    Args:
        input: the model's input that takes the pictures; None where the model has one input alone.
        resize: the shortest side, the other one in proportion, rounded down; or (height, width); None leaves the size.
        filter: how a resized pixel is made: "nearest" takes the one at its centre, "bilinear" and "bicubic" weigh.
        antialias: whether a filter is widened where the picture gets smaller, as Pillow always does.
        crop: (height, width) cut from the middle.
        scale: what every value is multiplied with.
        mean: subtracted after that, per channel, in the order that the model takes.
        std: divided by after that, per channel.
        channels: the order in which the model takes the colours.
        layout: "nchw" or "nhwc".
    """

    input: str | None = None
    resize: int | Sides | None = None
    filter: str = "bilinear"
    antialias: bool = True
    crop: Sides | None = None
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    channels: str = "rgb"
    layout: str = "nchw"

    @property
    def size(self) -> Sides | None:
        """Height and width of what the model gets, where that does not depend on the picture."""
        return self.crop or (self.resize if isinstance(self.resize, tuple) else None)

    def to_json(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def from_table(table: Mapping[str, Any], where: str) -> Pipeline:
    """A pipeline from TOML's or JSON's values. Raises BadInput naming the key."""
    known = [each.name for each in fields(Pipeline)]
    for name in table:
        if name not in known:
            raise BadInput(f"there is no key '{name}'", where=where, hint=f"Keys are {', '.join(known)}.")
    found: dict[str, Any] = {}
    for name, value in table.items():
        try:
            found[name] = _READERS[name](value)
        except ValueError as error:
            raise BadInput(f"'{name}' {error}, not {value!r}", where=where) from None
    made = Pipeline(**found)
    if made.crop is not None and made.resize is not None:
        least = (made.resize, made.resize) if isinstance(made.resize, int) else made.resize
        if any(cut > side for cut, side in zip(made.crop, least, strict=True)):
            raise BadInput(
                f"'crop' {list(made.crop)} is larger than what 'resize' makes sure of, {list(least)}", where=where
            )
    return made


def _sides(value: Any) -> Sides:
    values = [value, value] if _is_side(value) else value
    if not isinstance(values, list | tuple) or len(values) != 2 or not all(map(_is_side, values)):
        raise ValueError("is a number of pixels, or [height, width]")
    return (values[0], values[1])


def _resize(value: Any) -> int | Sides | None:
    return value if value is None or _is_side(value) else _sides(value)


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 2**15


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
        raise ValueError("is a number above 0")
    return float(value)


def _three(value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3 or not all(isinstance(each, int | float) and math.isfinite(each) for each in values):
        raise ValueError("is one number, or three")
    return tuple(map(float, values))


def _above_zero(value: Any) -> tuple[float, ...]:
    values = _three(value)
    if any(each <= 0 for each in values):
        raise ValueError("is above 0")
    return values


def _yes_or_no(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise ValueError("is true or false")


def _text(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError("is the name of an input")
    return value


def _one_of(names: tuple[str, ...]) -> Any:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"is one of {', '.join(names)}")
        return str(value)

    return read


_READERS: dict[str, Any] = {
    "input": _text,
    "resize": _resize,
    "filter": _one_of(FILTERS),
    "antialias": _yes_or_no,
    "crop": lambda value: None if value is None else _sides(value),
    "scale": _number,
    "mean": _three,
    "std": _above_zero,
    "channels": _one_of(CHANNELS),
    "layout": _one_of(LAYOUTS),
}

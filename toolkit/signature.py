"""What flows in and out of a model: names, dtypes, shapes, and how several values nest.

Knows no framework, and not NumPy either: the CLI parses `--input` with it before anything heavy is loaded.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from keyword import iskeyword
from typing import Any

from toolkit.errors import BadInput

# A dimension is a size, or the name of a dimension that may vary; one name means one size everywhere in a signature.
Dim = int | str
# How values nest: a leaf is the name of a TensorSpec; lists are positional, dicts are by key, None is an absent value.
Structure = str | None | list["Structure"] | dict[str, "Structure"]

BATCH = "batch"

DTYPES = (
    "float16", "bfloat16", "float32", "float64",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "bool", "string",
)  # fmt: skip

_SPEC = re.compile(r"(?P<name>[^:\[\]]+):(?P<dtype>[a-z0-9]+)\[(?P<shape>[^\]]*)\]")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SIZE = re.compile(r"[1-9][0-9]{0,18}")
_DIM = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:%(?P<multiple>[1-9][0-9]{0,8}))?(?:<=(?P<max>[1-9][0-9]{0,18}))?"
)


def is_float(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat"))


@dataclass(frozen=True)
class TensorSpec:
    """One named tensor: `shape` holds a size, or a symbol such as "batch" for a dimension that may vary."""

    name: str
    dtype: str
    shape: tuple[Dim, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise BadInput(
                f"dtype '{self.dtype}' is not known",
                where=f"input or output '{self.name}'",
                hint=f"Use one of {', '.join(DTYPES)}.",
            )

    @property
    def is_pictures(self) -> bool:
        """Whether it holds raw pictures, (batch, height, width, 3): every value from 0 to 255 is one of theirs."""
        return self.dtype == "uint8" and len(self.shape) == 4 and self.shape[3] == 3

    def __str__(self) -> str:
        return f"{self.name}:{self.dtype}[{','.join(map(str, self.shape))}]"

    @property
    def is_float(self) -> bool:
        return is_float(self.dtype)

    def with_sizes(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The concrete shape once every symbol has a size."""
        return tuple(sizes[dim] if isinstance(dim, str) else dim for dim in self.shape)

    @property
    def dynamic_dims(self) -> dict[int, str]:
        """Axis -> symbol, for the dimensions that may vary."""
        return {axis: dim for axis, dim in enumerate(self.shape) if isinstance(dim, str)}

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> TensorSpec:
        return TensorSpec(str(data["name"]), str(data["dtype"]), tuple(data["shape"]))


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, flat and named, with the nesting that its caller sees.

    `input_structure` and `output_structure` say how the flat tensors nest: a list of positional arguments, a dict of
    keyword arguments, a lone name for a single value. Left out, inputs are positional in order, a single output is
    bare and several outputs are a list. `limits` holds the largest size of a symbol where one was declared, `multiples`
    what its sizes are multiples of.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_structure: Structure = None
    output_structure: Structure = None
    limits: tuple[tuple[str, int], ...] = ()
    multiples: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for side, specs in (("inputs", self.inputs), ("outputs", self.outputs)):
            names = [spec.name for spec in specs]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise BadInput(f"the name '{twice[0]}' stands for more than one tensor", where=side)
        if self.input_structure is None:
            object.__setattr__(self, "input_structure", [spec.name for spec in self.inputs])
        if self.output_structure is None and self.outputs:
            names = [spec.name for spec in self.outputs]
            object.__setattr__(self, "output_structure", names[0] if len(names) == 1 else names)

    def with_float32_for(self, dtype: str) -> Signature:
        """The same, with float32 in the place of one dtype."""

        def changed(spec: TensorSpec) -> TensorSpec:
            return replace(spec, dtype="float32") if spec.dtype == dtype else spec

        return replace(self, inputs=tuple(map(changed, self.inputs)), outputs=tuple(map(changed, self.outputs)))

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.outputs)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The dimensions that may vary, in order of appearance."""
        return tuple(dict.fromkeys(dim for spec in self.inputs for dim in spec.shape if isinstance(dim, str)))

    @property
    def batch(self) -> str | None:
        """The symbol that counts samples, which stands first in the first input's shape; None where a size does."""
        first = self.inputs[0].shape[:1] if self.inputs else ()
        return next((dim for dim in first if isinstance(dim, str)), None)

    @property
    def batched(self) -> frozenset[str]:
        """The inputs whose rows are samples; the others belong to every sample alike."""
        batch = self.batch
        return frozenset(spec.name for spec in self.inputs if batch is not None and spec.shape[:1] == (batch,))

    @property
    def image_sides(self) -> frozenset[str]:
        """The symbols that are a side of an image: an input of one or three channels with two sides that vary.

        A network that halves images several times has nothing left of a few pixels.
        """
        sides: set[str] = set()
        for spec in self.inputs:
            for around in ((1, 2), (2, 3)) if len(spec.shape) == 4 else ():
                channels = spec.shape[3 if around == (1, 2) else 1]
                found = [spec.shape[axis] for axis in around]
                if channels in (1, 3) and all(isinstance(side, str) for side in found):
                    sides.update(side for side in found if isinstance(side, str))
        return frozenset(sides - {self.batch or ""})

    def limit(self, symbol: str) -> int | None:
        return dict(self.limits).get(symbol)

    def multiple(self, symbol: str) -> int:
        return dict(self.multiples).get(symbol, 1)

    def sized(self, symbol: str, size: int) -> int:
        """A size that the symbol may have: `size`, rounded up to a multiple, or the largest one allowed."""
        multiple, limit = self.multiple(symbol), self.limit(symbol)
        size = -(-size // multiple) * multiple
        return size if limit is None else min(size, max(limit // multiple, 1) * multiple)

    def input(self, name: str) -> TensorSpec:
        return next(spec for spec in self.inputs if spec.name == name)

    def output(self, name: str) -> TensorSpec:
        return next(spec for spec in self.outputs if spec.name == name)

    def with_outputs(self, outputs: Sequence[TensorSpec]) -> Signature:
        return replace(self, outputs=tuple(outputs), output_structure=None)

    def to_json(self) -> dict[str, Any]:
        return {
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "input_structure": self.input_structure,
            "output_structure": self.output_structure,
            "limits": dict(self.limits),
        } | ({"multiples": dict(self.multiples)} if self.multiples else {})

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Signature:
        return Signature(
            tuple(TensorSpec.from_json(spec) for spec in data["inputs"]),
            tuple(TensorSpec.from_json(spec) for spec in data["outputs"]),
            data.get("input_structure"),
            data.get("output_structure"),
            *(tuple(sorted((str(k), int(v)) for k, v in data.get(key, {}).items())) for key in ("limits", "multiples")),
        )


def parse_input(text: str) -> tuple[TensorSpec, dict[str, int], dict[str, int]]:
    """Read `NAME:DTYPE[DIM,...]`, the form of `--input`; a DIM is a size, a name, `name%multiple` or `name<=max`.

    Returns the spec, and the limits and the multiples that it declares. Raises BadInput with the form that is wanted.
    """
    match = _SPEC.fullmatch(text.replace(" ", ""))
    if not match:
        raise _bad_input(text, "it has another form")
    shape: list[Dim] = []
    limits: dict[str, int] = {}
    multiples: dict[str, int] = {}
    for part in match["shape"].split(",") if match["shape"] else ():
        symbol = _DIM.fullmatch(part)
        if _SIZE.fullmatch(part):
            shape.append(int(part))
        elif symbol:
            shape.append(symbol["name"])
            if symbol["max"]:
                limits[symbol["name"]] = int(symbol["max"])
            if symbol["multiple"]:
                multiples[symbol["name"]] = int(symbol["multiple"])
        else:
            raise _bad_input(text, f"'{part}' is neither a size nor a name")
    return TensorSpec(match["name"], match["dtype"], tuple(shape)), limits, multiples


def _bad_input(text: str, why: str) -> BadInput:
    return BadInput(
        f"'{text}' does not describe an input: {why}",
        where="--input",
        hint="Write NAME:DTYPE[DIM,...], for instance image:float32[batch,3,224,224].",
    )


def identifiers(names: Sequence[str]) -> dict[str, str]:
    """Each name with what it is called where only identifiers will do (arguments of TensorFlow's functions).

    A name that is one stays; in the others what is no letter, digit or underscore becomes one. All stay distinct.
    """
    found = {name: name for name in names if _PLAIN.fullmatch(name) and not iskeyword(name)}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if plain[:1].isalpha() else f"input_{plain}"
        plain = f"{plain}_" if iskeyword(plain) else plain
        candidates = (plain if count == 0 else f"{plain}_{count}" for count in itertools.count())
        found.setdefault(name, next(each for each in candidates if each not in found.values()))
    return found


def leaves(structure: Structure) -> Iterator[str]:
    """The names in a structure, in order."""
    match structure:
        case None:
            return
        case str():
            yield structure
        case list():
            for item in structure:
                yield from leaves(item)
        case dict():
            for item in structure.values():
                yield from leaves(item)


def unflatten(structure: Structure, values: Mapping[str, Any]) -> Any:
    """Put flat, named values into the nesting of `structure`; lists become tuples."""
    match structure:
        case None:
            return None
        case str():
            return values[structure]
        case list():
            return tuple(unflatten(item, values) for item in structure)
        case dict():
            return {key: unflatten(item, values) for key, item in structure.items()}


def flatten(value: Any, name: str, *, is_leaf: Callable[[Any], bool]) -> tuple[Structure, dict[str, Any]]:
    """Name every leaf of a nested value after its path: `name`, `name.0`, or its own key at the top of a dict.

    Mappings go by key, dataclasses by field, lists and tuples by position.
    A leaf that is None stays None in the structure and gets no name.
    """
    flat: dict[str, Any] = {}

    def walk(item: Any, path: str, top: bool) -> Structure:
        if item is None:
            return None
        if is_leaf(item):
            if path in flat:
                raise BadInput(f"the name '{path}' stands for two values", where=name)
            flat[path] = item
            return path
        if is_dataclass(item) and not isinstance(item, type | Mapping):
            item = {each.name: getattr(item, each.name) for each in fields(item)}
        if isinstance(item, Mapping):
            return {str(key): walk(child, str(key) if top else f"{path}.{key}", False) for key, child in item.items()}
        if isinstance(item, list | tuple):
            separator = "_" if top else "."
            return [walk(child, f"{path}{separator}{index}", False) for index, child in enumerate(item)]
        raise BadInput(f"'{path}' is a {type(item).__name__}; models pass tensors, lists, tuples and dicts of them")

    return walk(value, name, True), flat

"""The file of a sweep: a table for each model, with the options of `toolkit export` under their own names.

    [defaults]                        # for every model that does not say otherwise
    to = ["onnx", "torchscript"]

    [models.resnet18]
    source = "torchvision:resnet18"
    input = ["image:float32[batch,3,224,224]"]

Paths, and the modules of factories, are looked for in the file's own folder.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import BadInput
from toolkit.sweep.places import line_of

DEFAULTS, MODELS, SOURCE = "defaults", "models", "source"
_TABLES = (DEFAULTS, MODELS)
_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*$")
_FACTORY_OR_LIBRARY = re.compile(r"^[A-Za-z_][\w.]*:")


@dataclass(frozen=True)
class Key:
    """An option as a key: the argument of `bundle.export` that it becomes, and what makes its value of TOML's.

    `convert` raises ValueError, with a message for people, for a value that the option does not take. `is_path` says
    that the value names a file.
    """

    argument: str
    convert: Callable[[Any], Any]
    default: Any = None
    is_path: bool = False


@dataclass(frozen=True)
class Entry:
    """One model of a sweep: its source as written, every other argument of `bundle.export`, and which are paths."""

    name: str
    source: str
    arguments: Mapping[str, Any]
    folder: Path
    paths: tuple[str, ...] = ()

    @property
    def source_path(self) -> Path | None:
        """The source on disk; None for a factory or a library's model."""
        path = self.folder / self.source
        return path if path.exists() or not _FACTORY_OR_LIBRARY.match(self.source) else None


def read(path: Path, keys: Mapping[str, Key], reserved: Sequence[str] = ()) -> list[Entry]:
    """The models of a file, in its order. Raises BadInput naming the line and the key of the first mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise BadInput("there is no such file", where=str(path), hint="Give a TOML file of models.") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"it is not UTF-8 ({error.reason})", where=str(path)) from None
    return _Reader(path, text, keys, tuple(reserved)).entries()


@dataclass(frozen=True)
class _Reader:
    path: Path
    text: str
    keys: Mapping[str, Key]
    reserved: tuple[str, ...]

    def entries(self) -> list[Entry]:
        try:
            data = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise BadInput(f"it is not TOML ({error})", where=str(self.path)) from None
        for name in data:
            if name not in _TABLES:
                raise self._wrong((name,), f"there is no table '{name}'", "Tables are [defaults] and [models.NAME].")
        defaults = self._table((DEFAULTS,), data.get(DEFAULTS, {}))
        common = self._values((DEFAULTS,), defaults)
        models = self._table((MODELS,), data.get(MODELS, {}))
        if not models:
            raise BadInput(
                "it names no models", where=str(self.path), hint='Write [models.NAME] and, below it, source = "...".'
            )
        return [self._entry(name, table, common) for name, table in models.items()]

    def _entry(self, name: str, table: Any, common: Mapping[str, Any]) -> Entry:
        place = (MODELS, name)
        if not _NAME.match(name) or name in self.reserved:
            raise self._wrong(place, f"'{name}' cannot be the name of a folder", "Use letters, digits, '-', '_', '.'.")
        own = dict(self._table(place, table))
        source = own.pop(SOURCE, None)
        values = self._values(place, own)
        if not isinstance(source, str) or not source:
            raise self._wrong((*place, SOURCE), "it has no source", 'Write source = "path or package.module:callable".')
        arguments = {**self._defaults(), **common, **values}
        if not arguments["to"]:
            raise self._wrong((*place, "to"), "it does not say what to export to", 'Write to = ["onnx"], or "all".')
        paths = tuple(key.argument for key in self.keys.values() if key.is_path and arguments[key.argument] is not None)
        entry = Entry(name, source, arguments, self.path.parent.absolute(), paths)
        self._require_files(entry, own)
        return entry

    def _defaults(self) -> dict[str, Any]:
        return {key.argument: key.default for key in self.keys.values()}

    def _values(self, place: tuple[str, ...], table: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, value in table.items():
            key = self.keys.get(name)
            if key is None:
                known = ", ".join(sorted({*self.keys, *([] if place == (DEFAULTS,) else [SOURCE])}))
                raise self._wrong((*place, name), f"there is no key '{name}'", f"Keys are {known}.")
            try:
                found[key.argument] = key.convert(value)
            except ValueError as error:
                raise self._wrong((*place, name), str(error), None) from None
        return found

    def _table(self, place: tuple[str, ...], value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(place, f"'{place[-1]}' is not a table", f"Write [{'.'.join(place)}] above its keys.")
        return value

    def _require_files(self, entry: Entry, own: Mapping[str, Any]) -> None:
        """Every file that is named must be there before anything starts."""
        place, path = (MODELS, entry.name), entry.source_path
        if path is not None and not path.exists() and not any(path.parent.glob(f"{path.name}.*")):
            raise self._wrong((*place, SOURCE), f"there is no '{entry.source}' in {entry.folder}", None)
        for name, key in self.keys.items():
            if key.argument in entry.paths and not (entry.folder / entry.arguments[key.argument]).exists():
                table = place if name in own else (DEFAULTS,)
                raise self._wrong((*table, name), f"there is no '{entry.arguments[key.argument]}'", None)

    def _wrong(self, place: Sequence[str], found: str, hint: str | None) -> BadInput:
        line = line_of(self.text, place)
        where = f"{self.path}{f', line {line}' if line else ''}, {'.'.join(place)}"
        return BadInput(found, where=where, hint=hint)

"""What an export depends on, as one hash: the source's content, the options and this toolkit's version."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from toolkit import __version__, files
from toolkit.sweep.entries import Entry


def of(entry: Entry, commands: Mapping[str, str]) -> str:
    """Hex SHA-256. Files stand in it by what they hold, a factory by its module and the modules that lie beside it."""
    arguments = {
        name: files.digest(entry.folder / value) if name in entry.paths else value
        for name, value in entry.arguments.items()
    }
    content = {
        "toolkit": __version__,
        "source": [entry.source, _content(entry.folder, entry.source)],
        "factory": _content(entry.folder, entry.arguments.get("factory")),
        "arguments": arguments,
        "commands": dict(commands),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _content(folder: Path, text: str | None) -> Any:
    """What stands behind a source's text: a digest, or names and digests, or a library's version."""
    if text is None:
        return None
    path = folder / text
    if path.exists():
        return files.digest(path)
    if ":" in text:
        module = text.partition(":")[0]
        own = {file.relative_to(folder).as_posix(): files.sha256(file) for file in _modules(folder, module)}
        return own or _version(module.partition(".")[0])
    return {file.name: files.sha256(file) for file in sorted(path.parent.glob(f"{path.name}.*")) if file.is_file()}


def _version(package: str) -> str | None:
    """The version of an installed package; None where the name is none, and the export will say so."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _modules(folder: Path, module: str) -> Iterator[Path]:
    """The files of a module and of all that it imports, as far as they lie below `folder`."""
    seen: set[Path] = set()
    waiting = [module]
    while waiting:
        for file in _files_of(folder, waiting.pop()):
            if file not in seen:
                seen.add(file)
                yield file
                waiting += _imports(folder, file)


def _files_of(folder: Path, module: str) -> list[Path]:
    """A module's own file and those of the packages around it."""
    parts = module.split(".")
    packages = [folder.joinpath(*parts[:count], "__init__.py") for count in range(1, len(parts) + 1)]
    candidates = [*packages, folder.joinpath(*parts).with_suffix(".py")]
    return [file for file in candidates if file.is_file()]


def _imports(folder: Path, file: Path) -> list[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return []  # the export will say so, with its line
    package = file.parent.relative_to(folder).parts
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" if base else alias.name for alias in node.names)]
    return [name for name in names if name]

"""Defaults for options, from the nearest `toolkit.toml`, or from `[tool.toolkit]` of the nearest `pyproject.toml`.

    [verify]                      # in pyproject.toml: [tool.toolkit.verify]
    device = ["cpu", "cuda"]
    max-ratio = 2.0

Tables are commands, keys are their long options; what is given on the command line wins. [preprocess] is a pipeline
from pictures to a model's input (toolkit.pipeline).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import BadInput

if TYPE_CHECKING:
    import click

NAME = "toolkit.toml"
_PROJECT = "pyproject.toml"
_OTHERS = ("preprocess",)  # tables that are no command's: a pipeline, which `toolkit export` reads


def find(start: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """The file that configures this folder, with its tables; None where no folder above has one."""
    for folder in (start, *start.parents):
        if (folder / NAME).is_file():
            return folder / NAME, _read(folder / NAME)
        if (folder / _PROJECT).is_file():
            tables = _read(folder / _PROJECT).get("tool", {})
            if "toolkit" in tables:
                return folder / _PROJECT, tables["toolkit"]
        if (folder / ".git").exists():
            return None
    return None


def require_known(commands: Iterable[str], path: Path, tables: Mapping[str, Any]) -> None:
    """Raise BadInput for a table that is no command's: a slip of the pen there would go unnoticed for ever."""
    unknown = next((name for name in tables if name not in commands and name not in _OTHERS), None)
    if unknown is not None:
        raise BadInput(f"there is no command '{unknown}'", where=str(path), hint=f"Tables are {', '.join(commands)}.")


def defaults(command: click.Command, name: str, path: Path, tables: Mapping[str, Any]) -> dict[str, Any]:
    """The command's table as click's defaults. Raises BadInput for what the command does not know."""
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise BadInput(
            f"'{name}' is not a table of options", where=str(path), hint=f"Write [{name}] above its options."
        )
    options = {flag.lstrip("-"): option for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    found = {}
    for key, value in table.items():
        option = options.get(key)
        if option is None or option.param_type_name != "option" or option.name is None:
            known = ", ".join(sorted(k for k, o in options.items() if o.param_type_name == "option" and len(k) > 1))
            raise BadInput(f"'{name}' has no option '{key}'", where=str(path), hint=f"It has {known}.")
        if option.multiple != isinstance(value, list):
            shape = "a list" if option.multiple else "one value"
            raise BadInput(f"'{key}' of '{name}' takes {shape}", where=str(path))
        found[option.name] = value
    return found


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"it is not TOML ({error})", where=str(path)) from None

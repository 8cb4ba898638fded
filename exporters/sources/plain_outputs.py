"""Outputs as tensors in dicts, lists and tuples: what tracing and torch.export can return, whatever a model returns.

Dataclasses and mappings of a class of their own become dicts, named tuples become tuples; a field that is None is left
out. It is done by a hook, so that the module's class, its weights and their names stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def install(module: Any, outputs: Any) -> bool:
    """Let a module return plain outputs from now on, if what it has just returned is not; says whether."""
    if _is_plain(outputs):
        return False
    module.register_forward_hook(lambda _module, _arguments, returned: plain(returned))
    return True


def install_flat(module: Any) -> Any:
    """Let a module return its tensors side by side, where a trace cannot nest them; the returned hook undoes it."""
    return module.register_forward_hook(lambda _module, _arguments, returned: tuple(_tensors(returned)))


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item)
    elif value is not None:
        yield value


def plain(value: Any) -> Any:
    """The same tensors without classes around them. What is neither stays, for the caller to name."""
    if is_dataclass(value) and not isinstance(value, type | Mapping):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(item is not None and _is_plain(item) for item in value.values())
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return not (is_dataclass(value) or isinstance(value, Mapping | list | tuple))

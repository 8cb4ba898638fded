"""The user's `package.module:callable`: recognised by its module's text, called in a worker, its mistakes named."""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.sources.source import Asked, Kind, Source
from toolkit.causes import raised
from toolkit.errors import BadInput, FactoryFailed

KINDS = (
    Kind("torch-factory", "torch", "exporters.sources.torch_module:open_factory",
         "a callable that returns a `torch.nn.Module`, or a pair of it and example inputs", "package.module:callable"),
    Kind("keras-factory", "tensorflow", "exporters.sources.keras_model:open_factory",
         "a callable that returns a Keras model: functional, Sequential or subclassed", "package.module:callable"),
    Kind("tensorflow-factory", "tensorflow", "exporters.sources.tensorflow_module:open_factory",
         "a callable that returns a `tf.Module` that can be called", "package.module:callable"),
)  # fmt: skip

_FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")
# How a framework's models are called in an error, by the first name of the module that defines their class.
_FRAMEWORKS = {"torch": "torch", "keras": "keras", "tensorflow": "tensorflow", "pytorch_lightning": "torch",
               "lightning": "torch", "timm": "torch", "torchvision": "torch", "transformers": "torch"}  # fmt: skip


def probe(source: Source, asked: Asked) -> Source | None:
    """A text of that form which is no path."""
    if not _FACTORY.match(asked.text) or os.path.lexists(asked.path):
        return None
    kind = f"{asked.framework or factory_framework(asked.text, source.search)}-factory"
    return replace(source, kind=kind, factory=asked.text)


def build(factory: str, search: Sequence[str]) -> tuple[Any, Any]:
    """Call a factory; returns its model and the example inputs that it offers, or None.

    A factory returns the model, or a pair of the model and example inputs (a tensor, a tuple or a dict of them). The
    caller imports its framework first: only then are the user's folders put on the path, at its end, so that a file of
    theirs cannot stand in for a module of the framework.
    """
    module_name, _, attribute = factory.partition(":")
    for folder in search:
        if folder not in sys.path:
            sys.path.append(folder)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise FactoryFailed(f"there is no module '{error.name}'", where=factory) from error
    except AttributeError as error:
        raise FactoryFailed(f"{error}", where=factory) from error
    except (Exception, SystemExit) as error:
        raise FactoryFailed(f"it raised {raised(error)}", where=factory) from error
    if not callable(found):
        raise FactoryFailed(f"it is a {type(found).__name__}, not a callable", where=factory)
    try:
        result = found()
    except (Exception, SystemExit) as error:
        raise FactoryFailed(f"it raised {raised(error)}", where=factory) from error
    if isinstance(result, tuple) and len(result) == 2:
        return result
    return result, getattr(result, "example_inputs", getattr(result, "example_input_array", None))


def wrong_type(factory: str, result: object, wanted: str) -> FactoryFailed:
    kind = type(result)
    return FactoryFailed(f"it returned a {kind.__module__}.{kind.__qualname__}, not a {wanted}", where=factory)


def factory_framework(factory: str, folders: Sequence[str]) -> str:
    """The framework of a factory, going by what its module imports. Raises BadInput where that does not tell."""
    module = factory.partition(":")[0]
    text = _module_text(factory, folders)
    found = dict.fromkeys(_FRAMEWORKS[name] for name in _imports(text, module) if name in _FRAMEWORKS)
    if "keras" in found:
        found.pop("tensorflow", None)
    if len(found) == 1:
        return next(iter(found))
    what = "no framework" if not found else " and ".join(found)
    raise BadInput(
        f"its module imports {what}", where=factory, hint="Say which it is: --framework torch|keras|tensorflow."
    )


def _module_text(factory: str, folders: Sequence[str]) -> str:
    module = factory.partition(":")[0]
    relative = Path(*module.split("."))
    for folder in [*folders, *sys.path]:
        for candidate in (Path(folder) / relative.with_suffix(".py"), Path(folder) / relative / "__init__.py"):
            if candidate.is_file():
                return candidate.read_text(encoding="utf-8", errors="replace")
    raise BadInput(
        f"there is no module '{module}'",
        where=factory,
        hint=f"Looked in {', '.join(folders)} and the installed packages; the name is package.module:callable.",
    )


def _imports(text: str, module: str) -> list[str]:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise BadInput(f"line {error.lineno}: {error.msg}", where=module) from None
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name.partition(".")[0] for alias in node.names]
            names += ["keras" for alias in node.names if alias.name.startswith("tensorflow.keras")]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append("keras" if node.module.startswith("tensorflow.keras") else node.module.partition(".")[0])
    return names

"""Call the user's `package.module:callable`, and name what goes wrong in it."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import FactoryFailed


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
        raise _raised(factory, error) from error
    if not callable(found):
        raise FactoryFailed(f"it is a {type(found).__name__}, not a callable", where=factory)
    try:
        result = found()
    except (Exception, SystemExit) as error:
        raise _raised(factory, error) from error
    if isinstance(result, tuple) and len(result) == 2:
        return result
    return result, getattr(result, "example_inputs", getattr(result, "example_input_array", None))


def _raised(factory: str, error: BaseException) -> FactoryFailed:
    """The user's own exception with the line of the user's code that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    # The last frame of the traceback is the user's, or of a library that the user called.
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if len(frames) > 1 else ""
    message = str(error).strip().splitlines()
    return FactoryFailed(f"it raised {type(error).__name__}: {message[0] if message else ''}{place}", where=factory)


def wrong_type(factory: str, result: object, wanted: str) -> FactoryFailed:
    kind = type(result)
    return FactoryFailed(f"it returned a {kind.__module__}.{kind.__qualname__}, not a {wanted}", where=factory)

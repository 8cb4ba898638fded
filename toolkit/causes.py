"""What an exception of other people's code says, in one line: some are pages long, and some say nothing."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

_LONGEST = 200
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# TorchScript and AutoGraph put the user's lines first, and what is wrong with them last.
_LAST_LINE = ("The following operation failed in the TorchScript interpreter", "in user code:")
_GRAPH = "Graph execution error"  # of TensorFlow: then where the node was made, and what was wrong with it
_FRAMEWORKS = {"torch", "tensorflow", "keras", "numpy"}
_LIBRARIES = {"site-packages", "dist-packages"}
_NOT_USERS = (
    Path(sysconfig.get_path("stdlib")),
    *(Path(__file__).parents[1] / package for package in ("toolkit", "exporters", "trainers")),
)
_TELLS_OF_ITSELF = "torch.onnx"
_NOT_TELLING = ("Detected at", "File ", "<stack traces")


def said(error: BaseException, longest: int = _LONGEST) -> str:
    """The line of the exception's text that says what is wrong; its class where it has no text."""
    return telling(str(error), longest) or type(error).__name__


def described(error: BaseException, longest: int = _LONGEST) -> str:
    """The exception's class and what it says; of what PyTorch's exporter says of its own steps, what is behind it."""
    if type(error).__module__.startswith(_TELLS_OF_ITSELF) and error.__cause__ is not None:
        error = error.__cause__
    message = telling(str(error), longest)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def raised(error: BaseException, longest: int = _LONGEST) -> str:
    """The exception's class, what it says, and the line of the user's code that it came from."""
    # The first frame is the caller's own.
    frames = traceback.extract_tb(error.__traceback__)[1:]
    # A model that a library made has no line of the user's: then the library's. A framework's line helps nobody.
    kinds = [[frame for frame in frames if is_told(frame.filename)] for is_told in (_is_users, _is_models)]
    line = next((kind[-1] for kind in kinds if kind), None)
    return described(error, longest) + (f" ({Path(line.filename).name}, line {line.lineno})" if line else "")


def _is_users(file: str) -> bool:
    path = Path(file)
    return (
        path.is_file()
        and _LIBRARIES.isdisjoint(path.parts)
        and not any(path.is_relative_to(folder) for folder in _NOT_USERS)
    )


def _is_models(file: str) -> bool:
    path = Path(file)
    return not _LIBRARIES.isdisjoint(path.parts) and _FRAMEWORKS.isdisjoint(path.parts)


def telling(text: str, longest: int = _LONGEST) -> str:
    """The line of a framework's text that says what is wrong; empty where there is no text."""
    lines = [line.strip() for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    if not lines:
        return ""
    if lines[0].startswith(_GRAPH):
        return next((line for line in lines[1:] if not line.startswith(_NOT_TELLING)), lines[0])[:longest]
    return (lines[-1] if lines[0].startswith(_LAST_LINE) else lines[0])[:longest]

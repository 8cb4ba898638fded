"""A whole pickled PyTorch module: opening it runs code, so only for a file that the user trusts by its SHA-256."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from exporters.sources import pickles
from exporters.sources.source import Asked, Kind, Source
from exporters.sources.torch_module import TorchModuleRunner
from toolkit import safety
from toolkit.causes import described
from toolkit.errors import BadInput, UnsafeFile
from toolkit.files import digest

KINDS = (
    Kind("torch-pickle", "torch", "exporters.sources.torch_pickle:open_pickle",
         "a whole pickled `nn.Module`", "model.pt --trust SHA256`, or `--allow-class NAME"),
)  # fmt: skip


_LAYER = re.compile(r"torch\.nn\.modules\.\w+\.\w+")


def probe(source: Source, asked: Asked) -> Source | None:
    """What `torch.save` wrote and what names more than tensors are made of."""
    content = pickles.content(asked.path) if asked.path.is_file() else None
    if content is None:
        return None
    if asked.allow:
        return replace(source, kind="torch-pickle", facts={"allowed": _allowed(asked, content.code)})
    return replace(source, kind="torch-pickle", facts={"sha256": require_trust(asked, content.code)})


def _allowed(asked: Asked, names: Sequence[str]) -> list[str]:
    """What PyTorch's own unpickler may build of a file: the classes that the user names, and PyTorch's layers.

    Raises UnsafeFile for a file that calls anything else.
    """
    others = [name for name in names if name not in asked.allow and not _LAYER.fullmatch(name)]
    if others:
        raise UnsafeFile(
            f"it calls what was not allowed: {', '.join(others[:4])}{', ...' if len(others) > 4 else ''}",
            where=asked.text,
            hint=f"If these are your own classes, name each: --allow-class {others[0]}",
        )
    return list(names)


def require_trust(asked: Asked, names: Sequence[str]) -> str:
    """The file's SHA-256 if the user trusts it. Raises UnsafeFile with what the pickle would call, unrun."""
    found = digest(asked.path)
    if safety.trusted(asked.path, asked.trust):
        return found
    called = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    raise UnsafeFile(
        f"a pickled model runs code when it is opened (it calls {called})",
        where=asked.text,
        hint=f"If the file is your own, allow exactly this one: --trust {found[:16]}",
    )


def open_pickle(source: Source, device: str, threads: int | None) -> TorchModuleRunner:
    return TorchModuleRunner(source, lambda torch: (_module(source, unpickle(torch, source)), None), device, threads)


def unpickle(torch: Any, source: Source) -> Any:
    """Everything in the file, with the user's folders on the path. Raises BadInput where that does not work."""
    sys.path.extend(folder for folder in source.search if folder not in sys.path)
    assert source.path is not None
    allowed = source.facts.get("allowed")
    known = [_named(name) for name in allowed or ()]
    try:
        with torch.serialization.safe_globals(known):
            return torch.load(Path(source.path), map_location="cpu", weights_only=allowed is not None)
    except Exception as error:
        raise BadInput(
            f"PyTorch cannot unpickle it ({described(error)})",
            where=source.path,
            hint="The module that defines its class must be importable from the working directory.",
        ) from error


def _named(name: str) -> Any:
    """The class of that name. Raises BadInput for what is none: a function would be called with the file's words."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BadInput(
            f"'{name}' cannot be imported ({error})", where="--allow-class",
            hint="The module that defines it must be importable from the working directory.",
        ) from error  # fmt: skip
    if not isinstance(found, type):
        raise BadInput(f"'{name}' is no class", where="--allow-class", hint="Only classes can be allowed.")
    return found


def _module(source: Source, loaded: Any) -> Any:
    if isinstance(loaded, dict):
        raise BadInput(
            "it holds a checkpoint, not a model",
            where=source.path,
            hint="Name what builds the model: --factory package.module:callable.",
        )
    return loaded

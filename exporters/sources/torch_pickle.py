"""A whole pickled PyTorch module: opening it runs code, so only for a file that the user trusts by its SHA-256."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.sources import pickles
from exporters.sources.source import Asked, Kind, Source
from exporters.sources.torch_module import TorchModuleRunner
from toolkit import safety
from toolkit.errors import BadInput, UnsafeFile
from toolkit.files import digest

KINDS = (
    Kind("torch-pickle", "torch", "exporters.sources.torch_pickle:open_pickle",
         "a whole pickled `nn.Module`", "model.pt --trust SHA256"),
)  # fmt: skip


def probe(source: Source, asked: Asked) -> Source | None:
    """What `torch.save` wrote and what names more than tensors are made of."""
    content = pickles.content(asked.path) if asked.path.is_file() else None
    if content is None:
        return None
    return replace(source, kind="torch-pickle", facts={"sha256": require_trust(asked, content.code)})


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
    try:
        return torch.load(Path(source.path), map_location="cpu", weights_only=False)
    except Exception as error:
        raise BadInput(
            f"PyTorch cannot unpickle it ({type(error).__name__}: {str(error).strip().splitlines()[0][:200]})",
            where=source.path,
            hint="The module that defines its class must be importable from the working directory.",
        ) from error


def _module(source: Source, loaded: Any) -> Any:
    if isinstance(loaded, dict):
        raise BadInput(
            "it holds a checkpoint, not a model",
            where=source.path,
            hint="Name what builds the model: --factory package.module:callable.",
        )
    return loaded

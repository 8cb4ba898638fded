"""Write any opened model as a Keras archive (.keras) that plain `keras.models.load_model` opens in safe mode.

The model is the one that HDF5 would hold: Keras' own where it is made of built-in layers alone, else the one rebuilt
from its ONNX graph. It is written without its optimizer and loss, which may not load elsewhere.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporters import to_hdf5
from exporters.options import ExportOptions
from toolkit import metadata
from toolkit.contract import Contract
from toolkit.runtime.runner import Runner
from toolkit.signature import Signature

Strategy = Callable[[Any, Path, ExportOptions], None]

_WRITTEN = "metadata.json"  # Keras puts the time into it: the same model would not give the same file


def strategies(model: Runner) -> dict[str, Strategy]:
    """The native way where the model is made of Keras' own classes alone; else none, and the hub is the way."""
    return {"keras": _native} if to_hdf5.strategies(model) else {}


def from_onnx(path: Path, target: Path, signature: Signature, contract: Contract, _: ExportOptions) -> None:
    """Rebuild an ONNX graph as a functional Keras model of built-in layers and save it."""
    from exporters import onnx_to_keras
    from exporters.to_torchscript import positional
    from toolkit.runtime.savedmodel_runner import import_tensorflow

    import_tensorflow()
    _save(onnx_to_keras.build(path), target, positional(signature), contract)


def _native(model: Any, path: Path, _: ExportOptions) -> None:
    own = model.model
    if getattr(own, "compiled", False):
        bare = type(own).from_config(own.get_config())
        bare.set_weights(own.get_weights())
        own = bare
    _save(own, path, model.signature, model.contract)


def _save(model: Any, path: Path, signature: Signature, contract: Contract) -> None:
    whole = path.with_name(f"written-{path.name}")
    try:
        model.save(whole)
        _without_time(whole, path)
    finally:
        whole.unlink(missing_ok=True)
    metadata.add_to_archive(path, metadata.dumps(signature, contract))


def _without_time(source: Path, target: Path) -> None:
    """The same archive with every time in it at the format's zero."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as written:
        for item in read.infolist():
            entry = zipfile.ZipInfo(item.filename)
            if item.filename == _WRITTEN:
                written.writestr(entry, _dateless(read.read(item)))
                continue
            entry.file_size = item.file_size
            with read.open(item) as content, written.open(entry, "w") as place:
                shutil.copyfileobj(content, place, 1 << 20)


def _dateless(text: bytes) -> str:
    import json

    return json.dumps({**json.loads(text), "date_saved": "1980-01-01@00:00:00"})

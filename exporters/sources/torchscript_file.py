"""A TorchScript file as a source: its inputs are what it says of itself, or what the user declares."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from exporters.sources.source import Source
from exporters.sources.torch_module import TorchModuleRunner
from toolkit.runtime.torchscript_runner import TorchScriptRunner


class TorchScriptSource(TorchModuleRunner):
    """A scripted or traced module; a file that carries no signature of ours is described with `--input`."""

    def __init__(self, source: Source, device: str, threads: int | None) -> None:
        super().__init__(source, self._load, device, threads)

    def _load(self, torch: Any) -> tuple[Any, Any]:
        del torch
        assert self.source.path is not None
        file = TorchScriptRunner(Path(self.source.path), device=self.device, threads=self.threads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            file.__enter__()
        self.was_training = file.was_training
        if file.names_are_declared:
            self.own_inputs, self.contract = file.signature, file.contract
        return file.module, None

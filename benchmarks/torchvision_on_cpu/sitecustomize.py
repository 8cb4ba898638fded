"""Put on PYTHONPATH where torchvision's wheel is for CUDA: its operators are there before the package is imported.

Nothing but the import changes: a process that never imports torchvision never imports PyTorch for it either.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _Before(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        del path, target
        if name == "torchvision":
            sys.meta_path.remove(self)
            from benchmarks import torchvision_kernels  # noqa: F401 - its import registers them


sys.meta_path.insert(0, _Before())

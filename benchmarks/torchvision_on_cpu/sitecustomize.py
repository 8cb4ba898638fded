"""Put on PYTHONPATH where torchvision's wheel is for CUDA: its operators are there before the package is imported.

Nothing but that import changes: a process that never imports torchvision never imports PyTorch for it either.
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
            from benchmarks import torchvision_kernels  # noqa: F401 - its import registers them
        if name == "torchvision.models":  # it comes after the package has looked for its library
            sys.meta_path.remove(self)
            sys.modules["torchvision.extension"]._assert_has_ops = lambda: None  # type: ignore[attr-defined]  # noqa: SLF001


sys.meta_path.insert(0, _Before())

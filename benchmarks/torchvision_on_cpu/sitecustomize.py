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
        if name == "torchvision._autograd_registrations":  # it comes after the package has looked for its library
            sys.meta_path.remove(self)
            sys.modules["torchvision.extension"]._has_ops = _has_ops  # type: ignore[attr-defined]  # noqa: SLF001


def _has_ops() -> bool:
    """What the package asks before it calls an operator; torch.jit.script compiles it, so it is a function."""
    return True


sys.meta_path.insert(0, _Before())

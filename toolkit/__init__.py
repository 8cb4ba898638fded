"""Convert models between PyTorch, Keras, TensorFlow and ONNX, and prove that they still predict the same.

Importing this package loads no framework and no third-party module: everything heavy is fetched on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from exporters.onnx_to_torch import build as to_torch
    from toolkit.bundle import Bundle as Bundle
    from toolkit.bundle import export as export
    from toolkit.runtime.predictor import Predictor as Predictor
    from toolkit.runtime.predictor import load as load
    from toolkit.testing import assert_equivalent as assert_equivalent
    from toolkit.verification.report import Report as Report
    from toolkit.verification.verifier import verify as verify

# Public name -> the module that holds it, with ":name" where it bears another one there. No submodule may bear one of
# these names: it would hide the function.
_HOMES = {
    "export": "toolkit.bundle",
    "Bundle": "toolkit.bundle",
    "verify": "toolkit.verification.verifier",
    "assert_equivalent": "toolkit.testing",
    "Report": "toolkit.verification.report",
    "load": "toolkit.runtime.predictor",
    "Predictor": "toolkit.runtime.predictor",
    "to_torch": "exporters.onnx_to_torch:build",
}

__all__ = ["Bundle", "Predictor", "Report", "__version__", "assert_equivalent", "export", "load", "to_torch", "verify"]


def __getattr__(name: str) -> Any:
    """Fetch a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
    from importlib import import_module

    module, _, original = _HOMES[name].partition(":")
    value = getattr(import_module(module), original or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

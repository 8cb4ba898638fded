"""Which devices a runtime can really use here, and which library it misses where it cannot."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from toolkit.errors import BadInput, DeviceMissing

KINDS = ("cpu", "cuda")

# What TensorFlow 2.20 and newer, and PyTorch 2.9 and newer, open by name when they look for a GPU. PyTorch's CUDA
# version differs from build to build; cuDNN's does not.
_TENSORFLOW_LIBRARIES = ("libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libcufft.so.11",
                         "libcusolver.so.11", "libcusparse.so.12", "libcudnn.so.9")  # fmt: skip
_TORCH_LIBRARIES = ("libcudnn.so.9",)


def parse(device: str) -> tuple[str, int]:
    """Split "cuda:1" into its kind and index. Raises BadInput for a kind that does not exist."""
    kind, _, index = device.partition(":")
    if kind not in KINDS or (index and not index.isdigit()):
        raise BadInput(
            f"'{device}' is not a device", where="--device", hint="Use cpu, cuda, or cuda:N for the N-th GPU."
        )
    return kind, int(index or 0)


def require(runtime: str, device: str) -> tuple[str, int]:
    """Kind and index of a device that the runtime can use. Raises DeviceMissing with what is missing by name.

    Looks at drivers and libraries with the dynamic loader alone, so that a missing one is named before a framework
    falls back to the CPU with a line in a log.
    """
    kind, index = parse(device)
    if kind == "cuda":
        missing = missing_for_cuda(runtime)
        if missing:
            raise DeviceMissing(missing, where=f"{runtime} on {device}", hint="`toolkit doctor` says how to mend it.")
    return kind, index


def missing_for_cuda(runtime: str) -> str | None:
    """What keeps a runtime from using CUDA here, for instance "libcublasLt.so.13 missing"; None if nothing does."""
    return _CUDA_CHECKS[runtime]()


def missing_library(library: str | Path) -> str | None:
    """The library that the dynamic loader cannot find when it opens `library`, or None where it opens."""
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        text = str(error)
        name = text.partition(":")[0]
        # A library that opens but lacks a symbol of its host program is all there.
        return None if "undefined symbol" in text else name.rpartition("/")[2]
    return None


def _driver() -> str | None:
    missing = missing_library("libcuda.so.1")
    return f"{missing} missing (no NVIDIA driver)" if missing else None


def _onnxruntime() -> str | None:
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or not spec.submodule_search_locations:
        return "the package 'onnxruntime' is not installed"
    provider = Path(spec.submodule_search_locations[0]) / "capi" / "libonnxruntime_providers_cuda.so"
    if not provider.is_file():
        return "this onnxruntime was built without CUDA (onnxruntime-gpu has it)"
    _preload_cuda_packages()
    missing = missing_library(provider)
    return f"{missing} missing" if missing else _driver()


def _preload_cuda_packages() -> None:
    """Load CUDA and cuDNN from the nvidia-* packages where they are installed, as onnxruntime offers to do itself."""
    import onnxruntime

    if importlib.util.find_spec("nvidia") is not None:
        onnxruntime.preload_dlls()


def _torch() -> str | None:
    version = _version("torch")
    if version is None:
        return "the package 'torch' is not installed"
    if version.endswith("+cpu"):
        return f"torch {version} was built without CUDA"
    return _driver() or _first_missing(_TORCH_LIBRARIES)


def _tensorflow() -> str | None:
    if _version("tensorflow") is None:
        return "the package 'tensorflow' is not installed"
    return _driver() or _first_missing(_TENSORFLOW_LIBRARIES)


def _first_missing(libraries: Sequence[str]) -> str | None:
    """The first of the libraries that neither the dynamic loader finds nor an installed nvidia-* package holds."""
    folders = _package_folders()
    for library in libraries:
        if not any((folder / library).is_file() for folder in folders) and missing_library(library):
            return f"{library} missing"
    return None


def _package_folders() -> list[Path]:
    """Where the nvidia-* packages put their libraries, which frameworks look in by themselves."""
    spec = importlib.util.find_spec("nvidia")
    roots = spec.submodule_search_locations if spec is not None else None
    return [folder for root in roots or () for folder in sorted(Path(root).glob("*/lib"))]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


_CUDA_CHECKS = {"onnxruntime": _onnxruntime, "torch": _torch, "tensorflow": _tensorflow}

"""What is installed, what it can use, and the one line that mends what is missing.

Versions come from the packages' metadata, so no framework is imported, and nothing here needs more than the standard
library: a broken installation is what this is for. The minimum versions stand once, in pyproject.toml.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.runtime import devices

DISTRIBUTION = "model-toolkit"
BASE = "base"
OK, TOO_OLD, MISSING = "ok", "too old", "missing"

# Package -> the extra that brings it; its names on the package index, where one import has several.
EXTRAS = {
    "torch": "torch",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "tf2onnx": "tensorflow",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "onnx-ir": "onnx",
    "protobuf": "onnx",
    "h5py": "tensorflow",
}
NAMES = {"onnxruntime": ("onnxruntime-gpu", "onnxruntime")}

RUNTIMES = ("torch", "tensorflow", "onnxruntime")
REQUIRABLE = (*RUNTIMES, "cuda")

_CUDA_REMEDIES = {
    "torch": "pip install --force-reinstall torch   # from PyPI: the build with CUDA",
    "tensorflow": (
        "pip install 'tensorflow[and-cuda]'   # in an environment of its own: its CUDA 12 packages and PyTorch's"
        " CUDA 13 packages overwrite each other"
    ),
    "onnxruntime": "pip install 'onnxruntime-gpu[cuda,cudnn]'",
}
_DRIVER_REMEDY = "install NVIDIA's driver on the host, and give a container its GPUs (docker run --gpus all)"


@dataclass(frozen=True)
class Package:
    """A distribution: its version, the oldest that will do, and how to mend what is not "ok"."""

    name: str
    needed_by: str
    version: str | None
    minimum: str | None
    state: str
    remedy: str | None


@dataclass(frozen=True)
class Device:
    """Whether a runtime can use a device here; `missing` names what keeps it from that."""

    runtime: str
    device: str
    missing: str | None
    remedy: str | None

    @property
    def usable(self) -> bool:
        return self.missing is None


@dataclass(frozen=True)
class Diagnosis:
    """All that was found. `healthy` if the toolkit's own dependencies are there."""

    system: dict[str, str]
    packages: tuple[Package, ...]
    devices: tuple[Device, ...]
    unmet: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        return all(package.state == OK for package in self.packages if package.needed_by == BASE)

    @property
    def remedies(self) -> tuple[str, ...]:
        """Each thing to do once: first what the toolkit needs itself, then frameworks, then devices."""
        found = [package.remedy for package in self.packages] + [device.remedy for device in self.devices]
        return tuple(dict.fromkeys(remedy for remedy in found if remedy))

    def to_json(self) -> dict[str, Any]:
        return {
            "healthy": self.healthy,
            "unmet": list(self.unmet),
            "system": self.system,
            "packages": [asdict(package) for package in self.packages],
            "devices": [asdict(device) | {"usable": device.usable} for device in self.devices],
            "remedies": list(self.remedies),
        }


def examine(require: Sequence[str] = ()) -> Diagnosis:
    """Look at this interpreter and machine; `require` names what must be there (see `REQUIRABLE`)."""
    packages = tuple(packages_found())
    usable = tuple(devices_found(packages))
    return Diagnosis(system(), packages, usable, tuple(unmet(require, packages, usable)))


def packages_found() -> Iterable[Package]:
    """The toolkit's own dependencies, then what the frameworks need, in the order of their tables."""
    minimums = _minimums()
    yield _package(DISTRIBUTION, BASE, None)
    for name, minimum in minimums[BASE].items():
        yield _package(name, BASE, minimum)
    for name, extra in EXTRAS.items():
        yield _package(name, extra, _stated_minimum(name, extra, minimums))


def devices_found(packages: Sequence[Package]) -> Iterable[Device]:
    installed = {package.name for package in packages if package.version}
    for runtime in RUNTIMES:
        if not installed.intersection(NAMES.get(runtime, (runtime,))):
            reason = f"{runtime} is not installed"
            yield Device(runtime, "cpu", reason, None)
            yield Device(runtime, "cuda", reason, None)
            continue
        yield Device(runtime, "cpu", None, None)
        missing = devices.missing_for_cuda(runtime)
        yield Device(runtime, "cuda", missing, _cuda_remedy(runtime, missing))


def unmet(require: Sequence[str], packages: Sequence[Package], usable: Sequence[Device]) -> Iterable[str]:
    """Why each requirement that is not met is not, in words.

    "cuda" asks that every runtime that is required beside it can use CUDA, or, where none is, that one can.
    """
    runtimes = [name for name in require if name in RUNTIMES]
    for runtime in runtimes:
        package = next(p for p in packages if p.name in NAMES.get(runtime, (runtime,)))
        if package.state != OK:
            yield f"{runtime} is {package.state}"
    if "cuda" in require:
        asked = [d for d in usable if d.device == "cuda" and d.runtime in (runtimes or RUNTIMES)]
        lacking = [f"{d.runtime} cannot use cuda: {d.missing}" for d in asked if not d.usable]
        if runtimes or len(lacking) == len(asked):
            yield from lacking


def system() -> dict[str, str]:
    """Python, platform, cores, memory and GPUs in words."""
    return {
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}, {'-'.join(platform.libc_ver())}",
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{_memory() / 2**30:.1f} GiB",
        "gpus": ", ".join(gpus()) or "none",
    }


def gpus() -> tuple[str, ...]:
    """Names of the GPUs that NVIDIA's driver shows this process; empty without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    return tuple(_gpu_name(driver, index) for index in range(count.value))


def _gpu_name(driver: ctypes.CDLL, index: int) -> str:
    name = ctypes.create_string_buffer(100)
    device = ctypes.c_int()
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, len(name), device)
    return name.value.decode(errors="replace")


def _memory() -> int:
    """Bytes of memory: the machine's, or what a control group (a container) allows."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdigit() else physical


def _package(name: str, needed_by: str, minimum: str | None) -> Package:
    shown, version = _installed(name)
    if version is None:
        extra = "" if needed_by == BASE else f"[{needed_by}]"
        return Package(shown, needed_by, None, minimum, MISSING, f"pip install '{DISTRIBUTION}{extra}'")
    if minimum is not None and _release(version) < _release(minimum):
        return Package(shown, needed_by, version, minimum, TOO_OLD, f"pip install '{shown}>={minimum}'")
    return Package(shown, needed_by, version, minimum, OK, None)


def _installed(name: str) -> tuple[str, str | None]:
    """The distribution that provides a package, and its version; the first name where none does."""
    names = NAMES.get(name, (name,))
    for candidate in names:
        try:
            return candidate, importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
    return names[0], None


# Such as "torch>=2.9; extra == 'torch'" or "onnxruntime-gpu[cuda,cudnn]>=1.31; extra == 'gpu'".
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[[^]]*\])?>=(?P<minimum>[\w.]+)\s*(?:;.*extra == ['\"](?P<extra>[\w-]+)['\"])?"
)


def _minimums() -> dict[str, dict[str, str]]:
    """Extra (or "base") -> package -> the oldest version that the toolkit's own metadata asks for.

    Nothing is known where the toolkit runs without being installed, which is itself a finding.
    """
    found: dict[str, dict[str, str]] = {BASE: {}}
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return found
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match:
            found.setdefault(match["extra"] or BASE, {})[match["name"]] = match["minimum"]
    return found


def _stated_minimum(name: str, extra: str, minimums: dict[str, dict[str, str]]) -> str | None:
    stated = minimums.get(extra, {})
    return next((stated[candidate] for candidate in NAMES.get(name, (name,)) if candidate in stated), None)


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparing: "2.13.0+cpu" is (2, 13), and so is "2.13"."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _cuda_remedy(runtime: str, missing: str | None) -> str | None:
    if missing is None:
        return None
    return _DRIVER_REMEDY if "driver" in missing else _CUDA_REMEDIES[runtime]

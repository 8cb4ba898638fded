"""Look into a PyTorch file without unpickling it: which globals would it call?"""

from __future__ import annotations

import pickletools
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import BadInput
from toolkit.formats import ZIP_MAGIC

_NUMBERS = (
    "bfloat16", "bool", "complex128", "complex32", "complex64", "float16", "float32", "float64", "float8_e4m3fn",
    "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "int16", "int32", "int64", "int8", "qint32",
    "qint8", "quint2x4", "quint4x2", "quint8", "uint16", "uint32", "uint64", "uint8",
)  # fmt: skip
# What tensors and plain data need, and nothing that runs code: what `torch.load(weights_only=True)` reads.
_WEIGHTS = frozenset({
    "_codecs.encode", "builtins.bytearray", "builtins.complex", "builtins.set", "collections.Counter",
    "collections.OrderedDict", "torch.Size", "torch.Tensor", "torch.device", "torch.nn.parameter.Parameter",
    "torch._tensor._rebuild_from_type_v2", "torch.serialization._get_layout",
    *(f"torch._utils._rebuild_{name}" for name in (
        "device_tensor_from_cpu_tensor", "device_tensor_from_numpy", "meta_tensor_no_storage", "nested_tensor",
        "parameter", "parameter_with_state", "qtensor", "sparse_tensor", "tensor", "tensor_v2", "tensor_v3",
    )),
    *(f"torch.per_{name}" for name in ("channel_affine", "channel_affine_float_qparams", "channel_symmetric",
                                       "tensor_affine", "tensor_symmetric")),
    *(f"torch.{name}" for name in _NUMBERS),
})  # fmt: skip
_STORAGE = re.compile(r"torch\.(cuda\.)?[A-Za-z0-9]+Storage|torch\.storage\.(Typed|Untyped)Storage")
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Content:
    """The globals that a pickle names, as "module.name", in order."""

    globals: tuple[str, ...]

    @property
    def code(self) -> tuple[str, ...]:
        """Those of them that are more than tensors and plain data."""
        return tuple(name for name in self.globals if name not in _WEIGHTS and not _STORAGE.fullmatch(name))

    @property
    def holds_only_weights(self) -> bool:
        return not self.code


def content(path: Path) -> Content | None:
    """What a file written by `torch.save` would call; None where it is no such file (TorchScript is none either).

    Raises BadInput for an archive that is damaged.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head != ZIP_MAGIC:
        return _legacy(path, head)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            pickled = next((name for name in names if name.endswith("data.pkl")), None)
            if pickled is None or any(name.endswith("constants.pkl") for name in names):
                return None
            if archive.getinfo(pickled).file_size > _LARGEST:
                raise BadInput("its pickle claims more than 64 MB, which no model's structure needs", where=str(path))
            return Content(_globals(archive.read(pickled), path))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise BadInput(
            f"the archive is truncated or damaged ({error})", where=str(path), hint="Save or copy it again."
        ) from None


def _legacy(path: Path, head: bytes) -> Content | None:
    """Files of `torch.save` before 1.6 are a bare pickle, which begins with its protocol."""
    if head[:1] != b"\x80" or path.stat().st_size > _LARGEST:
        return None
    return Content(_globals(path.read_bytes(), path))


def _globals(data: bytes, path: Path) -> tuple[str, ...]:
    found: dict[str, None] = {}
    strings: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(data):
            if operation.name == "GLOBAL":
                found[_today(str(argument).replace(" ", "."))] = None
            elif operation.name == "STACK_GLOBAL":
                found[_today(".".join(strings[-2:]))] = None
            elif isinstance(argument, str):
                strings.append(argument)
    except ValueError as error:
        raise BadInput(f"its pickle is damaged ({error})", where=str(path), hint="Save or copy it again.") from None
    return tuple(found)


def _today(name: str) -> str:
    """What Python calls it now: older protocols use the names of Python 2."""
    module, dot, rest = name.partition(".")
    return f"{_RENAMED.get(module, module)}{dot}{rest}"

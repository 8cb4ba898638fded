"""Look into a PyTorch file without unpickling it: which globals would it call?"""

from __future__ import annotations

import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import BadInput
from toolkit.formats import ZIP_MAGIC

# What a dictionary of tensors needs, and nothing that runs code: what `torch.load(weights_only=True)` reads.
_WEIGHTS = (
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "torch._tensor._rebuild_from_type_v2",
    "torch.Size",
    "torch.nn.parameter.Parameter",
    "torch.serialization._get_layout",
)
_STORAGES = ("Storage",)
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Content:
    """The globals that a pickle names, as "module.name", in order."""

    globals: tuple[str, ...]

    @property
    def holds_only_weights(self) -> bool:
        return all(name.startswith(_WEIGHTS) or name.endswith(_STORAGES) for name in self.globals)


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
                found[str(argument).replace(" ", ".")] = None
            elif operation.name == "STACK_GLOBAL":
                found[".".join(strings[-2:])] = None
            elif isinstance(argument, str):
                strings.append(argument)
    except ValueError as error:
        raise BadInput(f"its pickle is damaged ({error})", where=str(path), hint="Save or copy it again.") from None
    return tuple(found)

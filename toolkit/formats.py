"""The formats that models are exported to: one row each, and nothing imported until a row is used.

A format's exporter is `exporters/to_<name>.py`; its runner, what opens and runs the file, lives in `toolkit.runtime`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit import litert
from toolkit.errors import BadInput, UnknownFormat

if TYPE_CHECKING:
    from toolkit.runtime.runner import Runner
    from toolkit.signature import Signature

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True)
class Format:
    """One format: `suffix` is what its files end in ("" for a folder), `file` its name inside a bundle.

    `probe` recognises a path by its first bytes or layout, without opening it as a model. `runtime` names the worker
    that runs it, `package` the import that a process of its own needs and `runner` the "module:class" that opens it.
    `plain_names` says that its inputs can be called by identifiers alone (`toolkit.signature.identifiers`).
    `in_all` says whether `--to all` means it too; the others are written where they are asked for by name.
    `bfloat16` says whether its inputs and outputs can be that: NumPy has none, and so nobody could call the file.
    """

    name: str
    file: str
    suffix: str
    runtime: str
    package: str
    runner: str
    probe: Callable[[Path], bool]
    devices: tuple[str, ...] = ("cpu", "cuda")
    in_all: bool = True
    plain_names: bool = False
    bfloat16: bool = True

    @property
    def exporter(self) -> str:
        """Import path of the module that writes this format."""
        return f"exporters.to_{self.name}"

    def interface(self, signature: Signature) -> Signature:
        """What a file of a model of that signature takes and returns."""
        return signature if self.bfloat16 else signature.with_float32_for("bfloat16")

    def open(self, path: Path, device: str = "cpu", threads: int | None = None) -> Runner:
        """The runner of one file; it touches no device before it is entered."""
        module, _, name = self.runner.partition(":")
        runner: Runner = getattr(import_module(module), name)(path, device=device, threads=threads)
        return runner


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _is_onnx(path: Path) -> bool:
    # A ModelProto has no magic number: by its name, or by its first field, ir_version (tag 0x08), a small varint.
    if not path.is_file():
        return False
    if path.suffix == ".onnx":
        return True
    with path.open("rb") as file:
        head = file.read(2)
    return len(head) == 2 and head[0] == 0x08 and 0 < head[1] < 32 and path.suffix == ""


def _is_torchscript(path: Path) -> bool:
    return path.is_file() and _starts_with(path, ZIP_MAGIC) and _zip_holds(path, "constants.pkl")


def _is_savedmodel(path: Path) -> bool:
    return path.is_dir() and ((path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file())


def _is_hdf5(path: Path) -> bool:
    return path.is_file() and _starts_with(path, HDF5_MAGIC) and not path.name.endswith(".weights.h5")


def _is_keras(path: Path) -> bool:
    return path.is_file() and _starts_with(path, ZIP_MAGIC) and _zip_holds(path, "model.weights.h5")


def _is_litert(path: Path) -> bool:
    return path.is_file() and litert.is_litert(path)


def _zip_holds(path: Path, member: str) -> bool:
    """Whether a zip archive lists `member`, at its top or one folder down, going by its directory alone."""
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            return any(name == member or name.endswith(f"/{member}") for name in archive.namelist())
    except (BadZipFile, OSError):
        return False


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format("onnx", "model.onnx", ".onnx", "onnxruntime", "onnxruntime",
               "toolkit.runtime.onnx_runner:OnnxRunner", _is_onnx, bfloat16=False),
        Format("torchscript", "model.pt", ".pt", "torch", "torch",
               "toolkit.runtime.torchscript_runner:TorchScriptRunner", _is_torchscript),
        Format("savedmodel", "saved_model", "", "tensorflow", "tensorflow",
               "toolkit.runtime.savedmodel_runner:SavedModelRunner", _is_savedmodel, plain_names=True),
        Format("hdf5", "model.h5", ".h5", "tensorflow", "keras",
               "toolkit.runtime.hdf5_runner:Hdf5Runner", _is_hdf5),
        Format("keras", "model.keras", ".keras", "tensorflow", "keras",
               "toolkit.runtime.keras_runner:KerasArchiveRunner", _is_keras, in_all=False),
        Format("tflite", "model.tflite", ".tflite", "tensorflow", "tensorflow",
               "toolkit.runtime.litert_runner:LitertRunner", _is_litert, ("cpu",), in_all=False, plain_names=True,
               bfloat16=False),
    )
}  # fmt: skip


ALL = tuple(form.name for form in FORMATS.values() if form.in_all)
"""What `--to all` means."""


def by_name(name: str, where: str = "--to") -> Format:
    """The format of that name. Raises UnknownFormat with the list of names; `where` is the option that it came from."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UnknownFormat(
            f"'{name}' is not a format",
            where=where,
            hint=f"Choose from {', '.join(FORMATS)}{' or all' if where == '--to' else ''}.",
        ) from None


def asked_for(to: str | Sequence[str]) -> tuple[str, ...]:
    """The formats that `--to` asks for, each once: names, or names with commas between; "all" are those of `ALL`.

    Raises UnknownFormat.
    """
    given = [to] if isinstance(to, str) else to
    wanted = [name.strip() for item in given for name in item.split(",")]
    named = [by_name(name).name for name in wanted if name != "all"]
    return tuple(dict.fromkeys([*(ALL if "all" in wanted else ()), *named]))


def of_path(path: Path) -> Format:
    """The format of a file or folder, by its content. Raises BadInput or UnknownFormat, saying what was found."""
    check_readable(path)
    for form in FORMATS.values():
        if form.probe(path):
            return form
    found = "a folder without saved_model.pb" if path.is_dir() else f"a file that begins with {_head(path)}"
    raise UnknownFormat(
        f"{found} is none of the formats {', '.join(FORMATS)}",
        where=str(path),
        hint=_truncated_hint(path),
    )


def check_readable(path: Path) -> None:
    """Raise BadInput where there is no such path, an empty file, or what is neither a file nor a folder."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        what = "a link to a file that does not exist" if path.is_symlink() else "no such file or folder"
        raise BadInput(what, where=str(path), hint="Check the path.") from None
    except OSError as error:
        raise BadInput(f"it cannot be read ({error.strerror})", where=str(path), hint="Check the path.") from None
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise BadInput("it is neither a file nor a folder", where=str(path), hint="Check the path.")
    if not os.access(path, os.R_OK):
        raise BadInput("it cannot be read (Permission denied)", where=str(path), hint="Check its permissions.")
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        raise BadInput("the file is empty (0 bytes)", where=str(path), hint="Export or copy it again.")


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return repr(file.read(8))


def _truncated_hint(path: Path) -> str:
    by_suffix = next((form for form in FORMATS.values() if form.suffix and path.name.endswith(form.suffix)), None)
    if by_suffix is None:
        return "`toolkit formats` lists what can be opened."
    return f"Going by its name it should be {by_suffix.name}: it is truncated or damaged; export or copy it again."

"""Writing that either happens completely or not at all, and the arithmetic of hashes and sizes around it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import BadInput, DiskFull, NotWritable

_STAGING = ".toolkit-staging-"
_STAGED = re.compile(re.escape(_STAGING) + r"[a-z0-9_]{8}")
_YOUNG = 60.0  # seconds in which a folder may not be locked yet by the process that has just made it
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


@contextlib.contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """Yield a path beside `destination` to write to; on success it takes the destination's place, else it vanishes.

    The temporary sibling is on the same file system, so that the last step is a rename: whatever stood at the
    destination stays whole until then, also where the process is killed. Works for files and folders; a file never
    replaces a folder. Folders on the way that were missing vanish again too, and so do temporary siblings of processes
    that were killed. Raises NotWritable or DiskFull.
    """
    with explaining_os_errors(destination), _folder(destination.parent) as parent:
        clear_leftovers(parent)
        try:
            stage = Path(tempfile.mkdtemp(prefix=_STAGING, dir=parent))
        except FileNotFoundError:  # what /proc and the like answer
            raise PermissionError(errno.EACCES, f"{parent} takes no files") from None
        lock = _locked(stage)  # held while this process lives: what is not locked was left behind
        try:
            with explaining_os_errors(destination):  # here already, while the disk is as full as it was
                stage.chmod(0o777 & ~umask())
                target = stage / destination.name
                yield target
                _sync(target)
                _swap(target, destination)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _locked(folder: Path) -> int | None:
    """An open, locked descriptor of a folder; None where another process has it, or the file system has no locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def clear_leftovers(parent: Path, older: float = _YOUNG) -> None:
    """Remove what a killed process has left in a folder: temporary siblings that nobody holds, `older` in seconds."""
    for path in parent.iterdir() if os.access(parent, os.R_OK) else ():
        if _STAGED.fullmatch(path.name):
            with contextlib.suppress(OSError):
                found = path.lstat()
                if found.st_uid == os.getuid() and time.time() - found.st_mtime > older:
                    lock = _locked(path)
                    if lock is not None:
                        shutil.rmtree(path, ignore_errors=True)
                        os.close(lock)


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """The folder, made with its parents where it is missing; what was made is removed again on failure, if empty."""
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    nearest = missing[-1].parent if missing else path
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{nearest} is not a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield path
    except BaseException:
        with contextlib.suppress(OSError):
            for folder in missing:
                folder.rmdir()
        raise


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _swap(source: Path, destination: Path) -> None:
    """Rename over a file; change places with a folder, whose content then lies in the stage and goes with it."""
    if not destination.is_dir() or destination.is_symlink():
        source.replace(destination)
    elif not source.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder stands there", str(destination))
    elif not _exchange(source, destination):
        _move_aside(source, destination)
    _sync_folder(destination.parent)


def _exchange(source: Path, destination: Path) -> bool:
    """Let two paths change places in one step; False where the system or the file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(destination), _RENAME_EXCHANGE) == 0)


def _move_aside(source: Path, destination: Path) -> None:
    """The second best: for a moment nothing stands at the destination."""
    aside = source.parent / ".previous"
    destination.rename(aside)
    try:
        source.rename(destination)
    except OSError:
        aside.rename(destination)
        raise


def _sync(path: Path) -> None:
    """Push the data to the disk, so that a power cut after the rename cannot leave an empty file under the name."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explaining_os_errors(destination: Path) -> Iterator[None]:
    """Turn the operating system's errors about a destination into ours, with the path and the sizes."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(destination) from error
        if error.errno in _REFUSALS and _is_about(error, destination):
            raise NotWritable(
                f"it cannot be written ({error.strerror})",
                where=str(destination),
                hint="Choose a folder that you may write to.",
            ) from error
        raise


# What keeps a destination from being written, by the operating system's names.
_REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY,
             errno.EBUSY, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.EINVAL)  # fmt: skip


def _is_about(error: OSError, destination: Path) -> bool:
    """Whether an error is the destination's own; one that names a file elsewhere, such as an input, is not."""
    if not isinstance(error.filename, str | bytes):
        return True
    named, folder = Path(os.fsdecode(error.filename)).absolute(), destination.parent.absolute()
    return named.is_relative_to(folder) or folder.is_relative_to(named)


def free_space(path: Path) -> int:
    """Free bytes on the file system that `path` is or will be on."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def disk_full(destination: Path) -> DiskFull:
    """The error for a disk that ran full while the destination was written."""
    return DiskFull(
        f"the disk is full ({describe_size(free_space(destination))} free)",
        where=str(destination),
        hint="Free some space or choose another folder; nothing was left behind.",
    )


def require_space(destination: Path, needed: int) -> None:
    """Raise DiskFull before anything is written where `needed` bytes will not fit."""
    free = free_space(destination.absolute())
    if free < needed:
        raise DiskFull(
            f"the export needs about {describe_size(needed)} and {describe_size(free)} are free",
            where=str(destination),
            hint="Free some space or choose another folder; nothing was written.",
        )


def describe_size(count: float) -> str:
    """A number of bytes for people: 12 B, 3.4 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(path: Path) -> list[Path]:
    """The regular files of an artefact, sorted; a lone file is its own list. Links are refused: BadInput."""
    if path.is_file():
        return [path]
    found = sorted(path.rglob("*"))
    for item in found:
        if item.is_symlink():
            raise BadInput("a link inside an artefact", where=str(item), hint="Replace it by the file it points to.")
    return [item for item in found if item.is_file()]


def digest(path: Path) -> str:
    """One SHA-256 over an artefact: a file's own, or over the sorted names and hashes of a folder's files."""
    if path.is_file():
        return sha256(path)
    total = hashlib.sha256()
    for file in files_below(path):
        total.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
    return total.hexdigest()

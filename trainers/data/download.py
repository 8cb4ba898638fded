"""Fetch a data file from the first mirror that serves it whole: cached, resumed, checked, renamed into place."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit import files
from toolkit.errors import BadInput

_PIECE = 1 << 16
_FOUND = {200, 206}


@dataclass(frozen=True)
class RemoteFile:
    """A file as every mirror must serve it: its name below the mirror's address, and the SHA-256 of its bytes."""

    name: str
    sha256: str


class _Refused(Exception):
    """Why one mirror did not give the file; collected, so that the user reads the reason of each."""


def cache_folder() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/toolkit, else ~/.cache/toolkit."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "toolkit"


def fetch(
    file: RemoteFile,
    mirrors: Iterable[str],
    folder: Path,
    *,
    report: Callable[[Mapping[str, Any]], None] = lambda _: None,
    timeout: float = 30.0,
) -> Path:
    """The path of `file` in `folder`, downloaded unless it is there already and whole.

    A download that breaks off leaves `NAME.part`, which the next attempt, from this mirror or another, continues.
    `timeout` is in seconds, per network operation. Raises BadInput with every mirror's reason if none serves the file.
    """
    path = folder / file.name
    if path.exists() and files.sha256(path) == file.sha256:
        return path
    with files.explaining_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    for mirror in mirrors:
        address = mirror.rstrip("/") + "/" + file.name
        try:
            return _fetch_from(address, file, path, report, timeout)
        except _Refused as refusal:
            reasons.append(f"{address}: {refusal}")
    raise BadInput(
        "no mirror serves it:\n    " + "\n    ".join(reasons),
        where=file.name,
        hint="Download it in another way and name its folder with --data-dir.",
    )


def _fetch_from(
    address: str, file: RemoteFile, path: Path, report: Callable[[Mapping[str, Any]], None], timeout: float
) -> Path:
    part = path.with_name(path.name + ".part")
    resumed = part.exists()
    _download(address, part, report, timeout)
    found = files.sha256(part)
    if found == file.sha256:
        part.replace(path)
        return path
    part.unlink()
    if resumed:  # what another attempt had left may be at fault: once more, from the first byte
        return _fetch_from(address, file, path, report, timeout)
    raise _Refused(f"its SHA-256 is {found[:12]}..., expected {file.sha256[:12]}...")


def _download(address: str, part: Path, report: Callable[[Mapping[str, Any]], None], timeout: float) -> None:
    """Append what is missing to `part`; a server that ignores the range sends everything, and everything is taken."""
    start = part.stat().st_size if part.exists() else 0
    try:
        with _open(address, start, timeout) as answer:
            if answer.status not in _FOUND:
                raise _Refused(f"HTTP {answer.status}")
            start = start if answer.status == 206 else 0
            total = start + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if start else "wb") as output:
                _copy(answer, output.write, lambda done: report(_progress(part.stem, start + done, total)))
            if total and part.stat().st_size < total:
                raise _Refused(f"the connection ended after {part.stat().st_size} of {total} bytes")
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is as long as the file or longer: let its checksum decide
            return
        raise _Refused(f"HTTP {error.code} {error.reason}") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Refused(str(getattr(error, "reason", None) or error or type(error).__name__)) from None


def _open(address: str, start: int, timeout: float) -> http.client.HTTPResponse:
    if urllib.parse.urlsplit(address).scheme not in {"http", "https"}:
        raise _Refused("mirrors are reached by http and https alone")
    headers = {"User-Agent": "model-toolkit"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(address, headers=headers)  # noqa: S310  # the scheme is checked above
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310  # as above
    return answer


def _copy(answer: http.client.HTTPResponse, write: Callable[[bytes], Any], told: Callable[[int], None]) -> None:
    done = 0
    try:
        while piece := answer.read(_PIECE):
            write(piece)
            done += len(piece)
            told(done)
    except http.client.IncompleteRead as error:
        write(error.partial)  # keep what came: the next attempt goes on from there


def _progress(name: str, done: int, total: int) -> dict[str, Any]:
    return {"stage": "download", "file": name, "done": done, "total": total}

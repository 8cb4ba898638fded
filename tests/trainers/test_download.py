"""Downloads from a server on this machine that misbehaves in every way a mirror can."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from toolkit.errors import BadInput
from trainers import data
from trainers.data import download
from trainers.data.download import RemoteFile

CONTENT = np.random.default_rng(7).bytes(300_000)
FILE = RemoteFile("train.gz", hashlib.sha256(CONTENT).hexdigest())


@dataclass
class Mirrors:
    """A server whose first path segment names its behaviour, and the requests it saw: (behaviour, Range header)."""

    address: str = ""
    seen: list[tuple[str, str | None]] = field(default_factory=list)

    def __call__(self, *behaviours: str) -> list[str]:
        return [f"{self.address}/{behaviour}" for behaviour in behaviours]


class Handler(http.server.BaseHTTPRequestHandler):
    mirrors: Mirrors

    def do_GET(self) -> None:
        behaviour = self.path.split("/")[1]
        asked = self.headers.get("Range")
        self.mirrors.seen.append((behaviour, asked))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        getattr(self, behaviour)(start)

    def answer(self, status: int, body: bytes, *, announced: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        self.wfile.write(body)

    def good(self, start: int) -> None:
        if start >= len(CONTENT):
            self.send_error(416)
        else:
            self.answer(206 if start else 200, CONTENT[start:])

    def truncated(self, start: int) -> None:
        """Breaks off in the middle of what it announced."""
        rest = CONTENT[start:]
        self.answer(206 if start else 200, rest[: len(rest) // 2], announced=len(rest))

    def corrupt(self, start: int) -> None:
        """One flipped bit."""
        self.answer(206 if start else 200, bytes([CONTENT[start] ^ 1]) + CONTENT[start + 1 :])

    def other(self, start: int) -> None:
        """A whole file, but another one."""
        self.answer(200, b"<html>Please sign in</html>")

    def missing(self, start: int) -> None:
        self.send_error(404)

    def rangeless(self, start: int) -> None:
        """Knows no ranges: always everything."""
        self.answer(200, CONTENT)

    def dropped(self, start: int) -> None:
        """Closes the connection without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirrors() -> Iterator[Mirrors]:
    found = Mirrors()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"mirrors": found})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        found.address = f"http://127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()
        thread.join()


def fetched(tmp_path, addresses) -> bytes:
    path = download.fetch(FILE, addresses, tmp_path / "cache")
    assert sorted(item.name for item in path.parent.iterdir()) == ["train.gz"]
    return path.read_bytes()


def test_downloads_once(tmp_path, mirrors):
    assert fetched(tmp_path, mirrors("good")) == CONTENT
    assert fetched(tmp_path, mirrors("good")) == CONTENT
    assert mirrors.seen == [("good", None)]


def test_reports_progress(tmp_path, mirrors):
    events = []
    download.fetch(FILE, mirrors("good"), tmp_path, report=events.append)
    assert events[-1] == {"stage": "download", "file": "train.gz", "done": 300_000, "total": 300_000}
    assert len(events) > 3


@pytest.mark.parametrize("behaviour", ["missing", "corrupt", "other", "dropped"])
def test_the_next_mirror_steps_in(tmp_path, mirrors, behaviour):
    assert fetched(tmp_path, mirrors(behaviour, "good")) == CONTENT
    assert mirrors.seen == [(behaviour, None), ("good", None)]


def test_a_truncated_download_is_continued(tmp_path, mirrors):
    assert fetched(tmp_path, mirrors("truncated", "good")) == CONTENT
    assert mirrors.seen == [("truncated", None), ("good", "bytes=150000-")]


def test_a_later_attempt_continues_too(tmp_path, mirrors):
    with pytest.raises(BadInput):
        fetched(tmp_path, mirrors("truncated"))
    assert (tmp_path / "cache" / "train.gz.part").stat().st_size == 150_000
    assert fetched(tmp_path, mirrors("good")) == CONTENT
    assert mirrors.seen[-1] == ("good", "bytes=150000-")


def test_a_server_without_ranges_starts_over(tmp_path, mirrors):
    assert fetched(tmp_path, mirrors("truncated", "rangeless")) == CONTENT
    assert mirrors.seen[-1] == ("rangeless", "bytes=150000-")


@pytest.mark.parametrize("left", [CONTENT[:99] + b"?" * 99, CONTENT + b"more"], ids=["wrong", "too long"])
def test_a_wrong_beginning_is_not_kept(tmp_path, mirrors, left):
    """What an earlier attempt left may be anything: the checksum decides, and then all is fetched anew."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "train.gz.part").write_bytes(left)
    assert fetched(tmp_path, mirrors("good")) == CONTENT
    assert mirrors.seen[-1] == ("good", None)


def test_a_damaged_cache_is_replaced(tmp_path, mirrors):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "train.gz").write_bytes(CONTENT[:-1])
    assert fetched(tmp_path, mirrors("good")) == CONTENT


def test_every_mirror_and_its_reason(tmp_path, mirrors):
    behaviours = ("missing", "other", "truncated", "dropped")
    addresses = [*mirrors(*behaviours), "http://127.0.0.1:9", "ftp://127.0.0.1"]
    with pytest.raises(BadInput) as caught:
        download.fetch(FILE, addresses, tmp_path)
    url = mirrors.address
    assert str(caught.value) == (
        "BadInput: train.gz: no mirror serves it:\n"
        f"    {url}/missing/train.gz: HTTP 404 Not Found\n"
        f"    {url}/other/train.gz: its SHA-256 is {hashlib.sha256(b'<html>Please sign in</html>').hexdigest()[:12]}..."
        f", expected {FILE.sha256[:12]}...\n"
        f"    {url}/truncated/train.gz: the connection ended after 150000 of 300000 bytes\n"
        f"    {url}/dropped/train.gz: Remote end closed connection without response\n"
        "    http://127.0.0.1:9/train.gz: [Errno 111] Connection refused\n"
        "    ftp://127.0.0.1/train.gz: mirrors are reached by http and https alone\n"
        "  Download it in another way and name its folder with --data-dir."
    )


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / "toolkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / ".cache" / "toolkit"


def test_data_set_by_name(tmp_path, mirrors, monkeypatch):
    """From name to arrays: four files from the table's mirrors into the cache, the digest of each as in the table."""
    from dataclasses import replace

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(data.REMOTE, "mnist", replace(data.REMOTE["mnist"], mirrors=tuple(mirrors("good"))))
    with pytest.raises(
        BadInput, match=r"train-images-idx3-ubyte\.gz: no mirror serves it:(.|\n)*expected 440fcabf73cc"
    ):
        data.load("mnist")


def test_the_tables_digests_are_digests():
    for remote in data.REMOTE.values():
        digests = [file.sha256 for file in remote.files]
        assert len(set(digests)) == 4
        assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
        assert len(remote.mirrors) >= 2

"""Writing is atomic: the destination holds the old or the new, whole, whatever happens in between."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.limits import HANG
from toolkit import files
from toolkit.errors import BadInput, DiskFull, NotWritable

OLD = {"a": b"old a", "deep/b": b"old b"}
NEW = {"a": b"new a" * 1000, "deep/c": b"new c"}


def write(folder, content):
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(destination, content):
    with files.replacing(destination) as stage:
        if isinstance(content, bytes):
            stage.write_bytes(content)
        else:
            write(stage, content)


def beside(path):
    return sorted(item.name for item in path.parent.iterdir())


ODD = [
    "plain",
    "with blank",
    "ünïcode ☃",
    "-rf",
    "--to",
    "a\nb",
    "a\x1b[31m",
    "'quoted\"",
    "$(x)",
    "*",
    ".hidden",
    "x" * 240,
]


@pytest.mark.parametrize("name", ODD, ids=ascii)
@pytest.mark.parametrize("before", [None, OLD], ids=["new", "replaced"])
def test_a_folder(tmp_path, name, before):
    destination = tmp_path / name
    if before:
        write(destination, before)
    put(destination, NEW)
    assert read(destination) == NEW
    assert beside(destination) == [name]


@pytest.mark.parametrize("name", ODD, ids=ascii)
@pytest.mark.parametrize("before", [None, b"old"], ids=["new", "replaced"])
def test_a_file(tmp_path, name, before):
    destination = tmp_path / name
    if before:
        destination.write_bytes(before)
    put(destination, b"new")
    assert destination.read_bytes() == b"new"
    assert beside(destination) == [name]


def test_folders_on_the_way_are_made(tmp_path):
    put(tmp_path / "x/y/z", b"new")
    assert (tmp_path / "x/y/z").read_bytes() == b"new"


class Stop(BaseException):
    """As hard as Ctrl-C: no `except Exception` sees it."""


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit, Stop])
@pytest.mark.parametrize("before", [None, OLD], ids=["nothing", "old"])
def test_a_failure_leaves_what_was_there(tmp_path, error, before):
    destination = tmp_path / "x/y" / "bundle"
    if before:
        write(destination, before)

    def fail():
        with files.replacing(destination) as stage:
            write(stage, NEW)
            raise error

    with pytest.raises(error):
        fail()
    assert read(tmp_path / "x") == ({f"y/bundle/{name}": data for name, data in OLD.items()} if before else {})
    assert beside(tmp_path / "x") == (["x"] if before else [])


FAIL_AT = {
    "fsync": ("fsync", errno.EIO, "it cannot be written (Input/output error)"),
    "rename": ("rename", errno.EACCES, "it cannot be written (Permission denied)"),
    "full": ("fsync", errno.ENOSPC, None),
    "quota": ("fsync", errno.EDQUOT, None),
}


@pytest.mark.parametrize("step", FAIL_AT)
@pytest.mark.parametrize("before", [None, b"old"], ids=["nothing", "old"])
def test_a_failing_system_call(tmp_path, monkeypatch, step, before):
    call, number, found = FAIL_AT[step]
    destination = tmp_path / "file"
    if before:
        destination.write_bytes(before)

    def failing(*_):
        raise OSError(number, os.strerror(number))

    if call == "rename":
        monkeypatch.setattr(files.Path, "replace", failing)
    else:
        monkeypatch.setattr(files.os, call, failing)
    monkeypatch.setattr(files, "free_space", lambda _: 1234)
    with pytest.raises(NotWritable) as caught:
        put(destination, b"new")
    if found is None:
        assert isinstance(caught.value, DiskFull)
        assert str(caught.value) == (
            f"DiskFull: {destination}: the disk is full (1.2 kB free)\n"
            "  Free some space or choose another folder; nothing was left behind."
        )
    else:
        assert str(caught.value) == (f"NotWritable: {destination}: {found}\n  Choose a folder that you may write to.")
    monkeypatch.undo()
    assert beside(destination) == (["file"] if before else [])
    assert not before or destination.read_bytes() == before


def test_an_error_about_another_file_is_left_alone(tmp_path):
    def fail():
        with files.replacing(tmp_path / "out"):
            raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else/input.npz")

    with pytest.raises(PermissionError):
        fail()


def in_the_way(tmp_path, what):
    """A destination that cannot be written to, and the words of the operating system for it."""
    thing = tmp_path / "thing"
    match what:
        case "file as folder":
            thing.write_text("x")
            return thing / "out", f"{thing} is not a folder"
        case "dangling link as folder":
            thing.symlink_to("nowhere")
            return thing / "out", f"{thing} is not a folder"
        case "loop as folder":
            thing.symlink_to("thing")
            return thing / "out", f"{thing} is not a folder"
        case "long name":
            return tmp_path / ("x" * 300), "File name too long"
        case "long folder":
            return tmp_path / ("x" * 300) / "out", "File name too long"
        case "read-only system":
            return Path("/proc/out"), "/proc takes no files"


@pytest.mark.parametrize(
    "what",
    ["file as folder", "dangling link as folder", "loop as folder", "long name", "long folder", "read-only system"],
)
@pytest.mark.parametrize("content", [b"new", NEW], ids=["file", "folder"])
def test_a_destination_that_cannot_be(tmp_path, what, content):
    destination, words = in_the_way(tmp_path, what)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(NotWritable) as caught:
        put(destination, content)
    assert str(caught.value) == (
        f"NotWritable: {destination}: it cannot be written ({words})\n  Choose a folder that you may write to."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_file_does_not_replace_a_folder(tmp_path):
    write(tmp_path / "mine", OLD)
    with pytest.raises(NotWritable) as caught:
        put(tmp_path / "mine", b"new")
    assert str(caught.value) == (
        f"NotWritable: {tmp_path / 'mine'}: it cannot be written (a folder stands there)\n"
        "  Choose a folder that you may write to."
    )
    assert read(tmp_path / "mine") == OLD


def test_a_folder_does_not_replace_a_file(tmp_path):
    (tmp_path / "mine").write_bytes(b"old")
    with pytest.raises(NotWritable):
        put(tmp_path / "mine", NEW)
    assert (tmp_path / "mine").read_bytes() == b"old"


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "target").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("target")
    put(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"mine"
    assert (tmp_path / "link").read_bytes() == b"new"
    assert not (tmp_path / "link").is_symlink()


def test_where_two_paths_cannot_change_places(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    write(tmp_path / "bundle", OLD)
    put(tmp_path / "bundle", NEW)
    assert read(tmp_path / "bundle") == NEW
    assert beside(tmp_path / "bundle") == ["bundle"]


def test_what_is_written_is_readable_as_the_umask_says(tmp_path):
    previous = os.umask(0o027)
    try:
        put(tmp_path / "folder", NEW)
    finally:
        os.umask(previous)
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


# -- kill -9

VICTIM = """
    import os, signal, sys
    from pathlib import Path
    from toolkit import files

    destination, point = Path(sys.argv[1]), int(sys.argv[2])
    seen = 0

    def look(event, arguments):
        # Every audited system call of `replacing` is a point to die at, before it is made.
        global seen
        if event.startswith(("os.", "open", "shutil.", "tempfile.")) or event == "ctypes.dlopen":
            seen += 1
            if seen == point:
                os.kill(os.getpid(), signal.SIGKILL)

    import ctypes
    with files.replacing(destination.with_name("warm-up")) as stage:
        stage.mkdir()
    destination.with_name("warm-up").rmdir()
    sys.addaudithook(look)
    with files.replacing(destination) as stage:
        (stage / "deep").mkdir(parents=True)
        (stage / "a").write_bytes(b"new a" * 1000)
        (stage / "deep" / "c").write_bytes(b"new c")
    sys.addaudithook(lambda *_: None)
    print(seen)
"""


def victim(destination, point):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(VICTIM), str(destination), str(point)],
        check=False, capture_output=True, text=True, timeout=HANG,
    )  # fmt: skip


def test_killed_at_every_point_of_writing(tmp_path):
    write(tmp_path / "whole/bundle", OLD)
    done = victim(tmp_path / "whole/bundle", 0)
    assert done.returncode == 0, done.stderr
    points = int(done.stdout)
    assert points >= 15
    found = []
    for point in range(1, points + 1):
        destination = tmp_path / str(point) / "bundle"
        write(destination, OLD)
        assert victim(destination, point).returncode == -signal.SIGKILL
        found.append(read(destination))
    assert all(content in (OLD, NEW) for content in found)
    # The change happens once, and both sides of it were seen.
    assert found == sorted(found, key=lambda content: content == NEW)
    assert found[0] == OLD
    assert found[-1] == NEW


# -- a full disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB; needs the right to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_full(small_disk):
    destination = small_disk / "bundle"
    write(destination, OLD)
    with pytest.raises(DiskFull) as caught:
        put(destination, {"large": bytes(3_000_000)})
    assert str(caught.value) == (
        f"DiskFull: {destination}: the disk is full (0 B free)\n"
        "  Free some space or choose another folder; nothing was left behind."
    )
    assert read(destination) == OLD
    assert beside(destination) == ["bundle"]


def test_space_is_asked_for_first(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: files.shutil._ntuple_diskusage(10**9, 10**9, 5_000_000))
    files.require_space(tmp_path / "not/there/yet", 5_000_000)
    with pytest.raises(DiskFull) as caught:
        files.require_space(tmp_path / "not/there/yet", 12_345_678)
    assert str(caught.value) == (
        f"DiskFull: {tmp_path}/not/there/yet: the export needs about 12.3 MB and 5.0 MB are free\n"
        "  Free some space or choose another folder; nothing was written."
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_400_000, "3.4 MB"), (2e9, "2.0 GB"), (5e15, "5000.0 TB")],
)
def test_sizes_for_people(count, text):
    assert files.describe_size(count) == text


def test_a_digest_depends_on_names_and_content(tmp_path):
    write(tmp_path / "one", OLD)
    first = files.digest(tmp_path / "one")
    write(tmp_path / "two", OLD)
    assert files.digest(tmp_path / "two") == first
    (tmp_path / "two/a").rename(tmp_path / "two/z")
    assert files.digest(tmp_path / "two") != first
    (tmp_path / "two/z").rename(tmp_path / "two/a")
    (tmp_path / "two/a").write_bytes(b"Old a")
    assert files.digest(tmp_path / "two") != first
    assert files.digest(tmp_path / "one/a") == files.sha256(tmp_path / "one/a")


def test_a_link_inside_an_artefact_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(BadInput) as caught:
        files.digest(tmp_path)
    assert str(caught.value) == (
        f"BadInput: {tmp_path}/link: a link inside an artefact\n  Replace it by the file it points to."
    )


def left_behind(folder, age):
    """A temporary sibling as a process that was killed leaves it, `age` seconds ago."""
    path = folder / ".toolkit-staging-abcdefgh"
    path.mkdir()
    (path / "half").write_text("half")
    moment = path.stat().st_mtime - age
    os.utime(path, (moment, moment))
    return path


def write_beside(folder):
    with files.replacing(folder / "new") as stage:
        stage.write_text("whole")


def test_what_a_killed_process_left_is_removed(tmp_path):
    left_behind(tmp_path, 3600)
    write_beside(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("name", [".toolkit-verify", ".toolkit-staging-", ".toolkit-staging-mine.bak"])
def test_what_is_not_ours_stays(tmp_path, name):
    left_behind(tmp_path, 3600).rename(tmp_path / name)
    write_beside(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["new", name])


def test_what_has_just_been_made_stays(tmp_path):
    found = left_behind(tmp_path, 1)
    write_beside(tmp_path)
    assert found.is_dir()


def test_what_another_process_is_writing_stays(tmp_path):
    code = "import sys, pathlib; from toolkit import files\n"
    code += "with files.replacing(pathlib.Path(sys.argv[1])) as stage:\n    print(stage.parent, flush=True); input()\n"
    code += "    stage.write_text('theirs')"
    command = [sys.executable, "-c", code, str(tmp_path / "other")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        theirs = Path(process.stdout.readline().strip())
        os.utime(theirs, (0, 0))
        write_beside(tmp_path)
        assert theirs.is_dir()
        process.communicate("\n", timeout=HANG)
    assert (tmp_path / "other").read_text() == "theirs"

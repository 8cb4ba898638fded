"""What only a process of its own shows: a light start, signals, closed streams, colour."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.limits import HANG, cpu_seconds, slowness
from toolkit.cli import COMMANDS

TOOLKIT = [sys.executable, "-m", "toolkit"]
# What `toolkit --help` may load beside the standard library. Our own modules are named one by one.
ALLOWED = {"click", "toolkit", "toolkit.__main__", "toolkit.cli", "toolkit.errors"}

SEEN = """
import sys
before = set(sys.modules)
sys.argv = ["toolkit", *sys.argv[1:]]
from toolkit.__main__ import main
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
standard = sys.stdlib_module_names
print(*sorted(n for n in set(sys.modules) - before if n.partition(".")[0] not in standard), file=sys.stderr)
"""


def loaded_by(*arguments):
    done = subprocess.run([sys.executable, "-c", SEEN, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split()), done.stdout


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("--version",)], ids=" ".join)
def test_help_loads_what_is_allowed_and_nothing_else(arguments):
    loaded, _ = loaded_by(*arguments)
    assert {name for name in loaded if not name.startswith("click.")} <= ALLOWED


HEAVY = {"torch", "tensorflow", "keras", "onnx", "onnxruntime", "onnx_ir", "onnxscript", "tf2onnx", "h5py", "numpy"}


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "inspect"])
def test_the_help_of_a_command_loads_no_framework(command):
    loaded, text = loaded_by(command, "--help")
    assert text.startswith(f"Usage: toolkit {command}")
    assert not HEAVY & {name.partition(".")[0] for name in loaded} - {"numpy"}


def test_help_takes_less_than_100_ms_of_processor_time():
    assert min(cpu_seconds([*TOOLKIT, "--help"]) for _ in range(7)) < 0.1 * slowness()


def test_help_lists_every_command_but_the_workers():
    _, text = loaded_by("--help")
    listed = [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines() if line.startswith("  ")]
    assert set(COMMANDS) - {"worker"} <= set(listed)
    assert "worker" not in listed


@pytest.mark.parametrize("command", [["--help"], ["formats"]], ids=" ".join)
def test_a_reader_that_has_gone(command):
    """`toolkit ... | head -0`: no traceback, and not exit code 1, which says that a verdict failed."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*TOOLKIT, *command], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 141


def test_closed_streams():
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        line = f"{sys.executable} -m toolkit --help {closed}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)  # a shell closes them
        assert done.returncode == 0, (closed, done.stderr)
        assert "Traceback" not in done.stderr


def in_a_terminal(arguments, **environment):
    """Run with a terminal as stdout and stderr; returns what it showed."""
    import pty

    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [*TOOLKIT, *arguments], stdout=follower, stderr=follower, stdin=follower,
        env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(leader)
    child.wait(30)
    return shown.decode()


def test_colour_on_a_terminal_alone():
    bad = ["bench", "nofile.onnx"]
    assert "\x1b[31m" in in_a_terminal(bad)
    assert not re.search(r"\x1b\[[0-9;]*m", in_a_terminal(bad, NO_COLOR="1"))
    done = subprocess.run([*TOOLKIT, *bad], capture_output=True, text=True, check=False)
    assert done.stderr == "BadInput: nofile.onnx: no such file or folder\n  Check the path.\n"


def children_of(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_signal_ends_the_workers_and_leaves_nothing(tmp_path, number, code):
    marker = tmp_path / "temporary"
    marker.mkdir()
    (tmp_path / "slow.py").write_text(
        f"import time\nfrom pathlib import Path\n\ndef build():\n    Path({str(marker / 'started')!r}).touch()\n"
        "    time.sleep(600)\n"
    )
    arguments = ["export", "slow:build", "--framework", "torch", "--to", "onnx", "-o", "deep/out"]
    child = subprocess.Popen(
        [*TOOLKIT, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(marker), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + HANG
    while not (marker / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = children_of(child.pid)
    child.send_signal(number)
    out, err = child.communicate(timeout=HANG)  # on a busy machine the workers take their time to end
    assert (child.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert workers
    assert all(ended(pid) for pid in workers)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slow.py", "temporary"]
    assert [path.name for path in marker.iterdir()] == ["started"]


def test_a_file_of_a_librarys_name_in_the_working_directory_breaks_nothing(exports, tmp_path):
    for name in ("litert", "numpy", "torch", "tensorflow", "keras", "onnx", "json_", "PIL", "click"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the file in the working directory was imported')\n")
    script = str(Path(sys.executable).with_name("toolkit"))
    done = subprocess.run(
        [script, "verify", str(exports["torch"].folder), "--no-latency", "--json"],
        capture_output=True, text=True, cwd=tmp_path, check=False, timeout=HANG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"] is True

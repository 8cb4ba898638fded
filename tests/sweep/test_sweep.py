"""Whole sweeps in processes of this machine: the summary, what a second run keeps, and what an interrupt leaves."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.limits import HANG

ALL = {"first": "PASS", "broken": "ERROR", "second": "PASS"}


def contents(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_sweep_is_told_kept_and_gone_on_with(fleet):
    done = fleet("--jobs", "2", "--junit", "junit.xml")
    assert (done.code, done.verdicts, done.cached) == (2, ALL, set()), done.err
    out = done.folder / "out"
    assert contents(out) == [".sweep", "first", "second", "sweep.html", "sweep.json", "sweep.md"]
    assert "nets:broken: it raised ValueError: no weights today" in done.err
    assert "2 passed, 1 in error -> exit 2" in done.out
    assert "nets:broken: it raised ValueError: no weights today" in (out / "sweep.md").read_text()
    assert 'href="first/report.html"' in (out / "sweep.html").read_text()
    suite = ET.parse(done.folder / "junit.xml").getroot()[0]
    assert [suite.get(key) for key in ("tests", "failures", "errors")] == ["3", "0", "1"]

    # A second run keeps what passed, unless its content or what it depends on has changed.
    nets = done.folder / "nets.py"
    nets.write_text(nets.read_text().replace('raise ValueError("no weights today")', "return small()"))
    file = out / "second" / "model.pt"
    before = file.read_bytes()
    file.write_bytes(before[:-1])
    dry = fleet("--dry-run")
    assert [line.split()[0] for line in dry.out.splitlines()] == ["export", "export", "export"]
    file.write_bytes(before)
    again = fleet("--jobs", "1")
    assert (again.code, again.verdicts, again.cached) == (0, {**ALL, "broken": "PASS"}, {"second"}), again.err
    assert "3 passed (1 as before) -> exit 0" in again.out


def test_an_interrupt_leaves_nothing_half_written(fleet):
    command = [sys.executable, "-m", "toolkit", "sweep", "models.toml", "-o", "out", "--jobs", "2", "--threads", "1"]
    process = subprocess.Popen(command, cwd=fleet.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out = fleet.folder / "out"
    limit = time.monotonic() + HANG
    while time.monotonic() < limit and not (out.is_dir() and any(".toolkit-staging" in name for name in contents(out))):
        time.sleep(0.05)
    assert any(".toolkit-staging" in name for name in contents(out)), "it never began to write"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == 130, err
    assert err.endswith("interrupted\n")
    assert set(contents(out)) <= {".sweep", "first", "second"}
    assert not _still_run(fleet.folder)


def _still_run(folder):
    """Processes that work in this folder, as every lane of its sweep does."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_bytes())
    return found

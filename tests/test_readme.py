"""The README's everyday commands, as they stand there, one after the other, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def everyday_commands() -> list[str]:
    """The lines of the block that begins with `toolkit train`; the next block is about the reader's own files."""
    block = next(block for block in blocks("console") if block.startswith("toolkit train"))
    return block.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_everyday_commands_work_in_order(folder: Path) -> None:
    commands = everyday_commands()
    assert len(commands) >= 8
    for line in commands:
        program, *arguments = shlex.split(line)
        assert program == "toolkit"
        done = run([sys.executable, "-m", "toolkit", *arguments], folder)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    assert (folder / "out" / "fashion" / "manifest.json").is_file()


def test_the_python_example_works(folder: Path) -> None:
    code, _ = blocks("python")
    if not (folder / "runs").is_dir():
        pytest.fail("the everyday commands come first: they train the model that the example loads")
    done = run([sys.executable, "-c", code], folder)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1  # the label of the sample image


def test_the_test_of_the_example_passes(folder: Path) -> None:
    _, code = blocks("python")
    (folder / "test_example.py").write_text(code)
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_help_names_every_command_that_the_readme_uses() -> None:
    done = run([sys.executable, "-m", "toolkit", "--help"], ROOT)
    used = {
        line.split()[1] for block in blocks("console") for line in block.splitlines() if line.startswith("toolkit ")
    }
    assert used
    assert all(f"\n  {name} " in done.stdout for name in used), done.stdout

"""Build the wheel, install it alone in an empty environment outside the repository, and use it there.

Proves what an editable install hides: that every file the package needs is in the wheel, and that the commands which
need no framework work without one. Then one model goes through the whole demo from the wheel's files, with the
frameworks of this environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"toolkit", "trainers", "exporters"}
NEEDED = {
    "toolkit/py.typed", "trainers/py.typed", "exporters/py.typed", "trainers/data/digits.npz",
    "toolkit/report/templates/page.html",
}  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        check_content(wheel)
        python = install(wheel, folder / "environment")
        check_alone(python, folder)
        check_demo(wheel, folder)
    print("wheel: built, installed in an empty environment, used there")


def build(folder: Path) -> Path:
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], ROOT)
    return next(folder.glob("*.whl"))


def check_content(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    top = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert top == PACKAGES, f"the wheel holds {top}"
    templates = {name for name in names if name.startswith("toolkit/report/templates/")}
    entries = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
    assert "[pytest11]" in zipfile.ZipFile(wheel).read(entries).decode(), "the pytest plugin is not registered"
    missing = {name for name in NEEDED if name not in names and not name.startswith("toolkit/report/templates/")}
    assert templates, "the wheel holds no report templates"
    assert not missing, f"the wheel lacks {missing}"


def install(wheel: Path, environment: Path) -> Path:
    """The wheel and its light dependencies at their pinned versions; no framework."""
    uv, python = Path(sys.executable).with_name("uv"), environment / "bin" / "python"
    run([str(uv), "venv", "--quiet", "--python", sys.executable, str(environment)], ROOT)
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    run([str(uv), "pip", "install", "--quiet", "--python", str(python), *constraints, str(wheel)], environment)
    return python


def check_alone(python: Path, folder: Path) -> None:
    """Without any framework: help, formats, doctor and inspect work; what needs one says which, with exit code 3."""
    toolkit = python.parent / "toolkit"
    for command, code in (
        (["--help"], 0),
        (["--version"], 0),
        (["formats"], 0),
        (["doctor"], 0),
        (["doctor", "--require", "torch"], 3),
        (["inspect", "missing.onnx"], 2),
        (["train", "--framework", "torch", "--model", "fashion", "-o", str(folder / "trained")], 3),
    ):
        done = subprocess.run([str(toolkit), *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"toolkit {' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr


def check_demo(wheel: Path, folder: Path) -> None:
    """One model of the demo, from the wheel's files, with the frameworks of this environment."""
    unpacked = folder / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    code = "import toolkit; assert 'unpacked' in toolkit.__file__; from toolkit.cli import run; run()"
    options = ["--framework", "torch", "--model", "fashion", "--epochs", "2"]
    command = [sys.executable, "-c", code, "demo", "-o", str(folder / "demo"), *options]
    run(command, folder, {**os.environ, "PYTHONPATH": str(unpacked)})
    assert (folder / "demo" / "report.html").is_file()


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    main()

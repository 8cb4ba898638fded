"""Run commands in this process, with warm workers; and a folder of everything that a user can get wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one strict JSON object on stdout."""

        def refuse(word):
            raise AssertionError(f"{word} is not JSON")

        return json.loads(self.out, parse_constant=refuse)


@pytest.fixture
def toolkit(warm, capsys):
    """Run `toolkit ...` in this process."""
    from toolkit.cli import invoke

    def run(*arguments):
        capsys.readouterr()
        code = invoke([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


def as_pattern(text):
    """A message as a regular expression; <...> stands for a library's own words, on one line."""
    return "".join(".*" if part == "<...>" else re.escape(part) for part in re.split(r"(<\.\.\.>)", text))


SAVE = """
import sys, torch, safetensors.torch
sys.path.insert(0, sys.argv[1])
import zoo_torch
model, _ = zoo_torch.build()
torch.save(model.state_dict(), "weights.pt")
torch.save({"other": torch.zeros(3)}, "other_weights.pt")
torch.save(model, "pickled.pt")
import zoo_random, warnings
warnings.simplefilter("ignore")
torch.jit.save(torch.jit.script(zoo_random.Net()), "random.pt")
safetensors.torch.save_file(model.state_dict(), "weights.safetensors")
"""

FACTORIES = """
import torch

def raises():
    raise ValueError("no weights here\\nsecond line")

def exits():
    raise SystemExit(1)

def returns():
    return 7

def silent():
    return torch.nn.Linear(4, 3)

def wrong():
    return torch.nn.Linear(4, 3), torch.zeros(2, 5)

def other_framework():
    import numpy
    return numpy.zeros(3)

def new_head():
    body = torch.nn.Linear(4, 5)
    head = torch.nn.Linear(5, 3)
    torch.nn.init.zeros_(head.weight)
    return torch.nn.Sequential(body, torch.nn.ReLU(), head), torch.zeros(2, 4)

def crashes():
    import os, signal
    os.kill(os.getpid(), signal.SIGSEGV)

number = 7
"""


@pytest.fixture(scope="session")
def desk(exports, models, tmp_path_factory):
    """A working directory: a good bundle, and damaged, wrong and unknown files beside it."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(exports["torch"].folder, folder / "good")
    shutil.copytree(exports["torch"].folder / "saved_model", folder / "sm")
    for name in ("model.onnx", "model.pt", "model.h5"):
        shutil.copy(exports["torch"].folder / name, folder / name)
    for name in models.glob("*.py"):
        shutil.copy(name, folder)
    for suffix in ("onnx", "pt", "pth", "h5", "keras", "safetensors", "npz", "png", "pt2"):
        (folder / f"empty.{suffix}").touch()
    for suffix in ("onnx", "pt", "h5"):
        data = (folder / f"model.{suffix}").read_bytes()
        (folder / f"half.{suffix}").write_bytes(data[: len(data) // 2])
    (folder / "half.keras").write_bytes(b"PK\x03\x04 and no more")
    (folder / "half.safetensors").write_bytes((200).to_bytes(8, "little") + b'{"a"')
    (folder / "half.npz").write_bytes(b"PK\x03\x04 and no more")
    (folder / "program.pt2").write_bytes(b"PK\x03\x04 and no more")
    shutil.copytree(folder / "sm", folder / "half_sm")
    graph = folder / "half_sm/saved_model.pb"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])
    shutil.copytree(folder / "sm", folder / "no_variables_sm")
    shutil.rmtree(folder / "no_variables_sm/variables")
    shutil.copytree(folder / "good", folder / "tampered")
    (folder / "tampered/model.onnx").write_bytes(b"\x08\x0a")
    (folder / "empty_folder").mkdir()
    (folder / "text.txt").write_text("hello world")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "broken.py").write_text("import torch\ndef build(:\n")
    (folder / "factories.py").write_text(FACTORIES)
    (folder / "none.py").write_text("def build():\n    return 7\n")
    (folder / "needs.py").write_text("import torch\nimport a_module_that_is_not_there\n")
    good = np.zeros((3, 4), np.float32)
    nan, inf = good.copy(), good.copy()
    nan[1, 2], inf[2, 0] = np.nan, np.inf
    for name, arrays in {
        "good": {"x": good}, "other_name": {"image": good}, "extra": {"x": good, "y": good},
        "float64": {"x": good.astype(np.float64)}, "int": {"x": good.astype(np.int64)}, "rank": {"x": good[0]},
        "width": {"x": np.zeros((3, 5), np.float32)}, "nan": {"x": nan}, "inf": {"x": inf}, "none": {},
        "no_rows": {"x": good[:0]}, "pickle": {"x": np.array([{}], dtype=object)},
    }.items():  # fmt: skip
        np.savez(folder / f"{name}.npz", **arrays)
    script = [sys.executable, "-c", SAVE, str(models)]
    subprocess.run(script, cwd=folder, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    return folder


@pytest.fixture
def at_desk(desk, monkeypatch):
    """Work there, and find it as it was."""
    monkeypatch.chdir(desk)

    def listing():
        found = {path: path.lstat().st_mtime_ns for path in desk.rglob("*") if "__pycache__" not in path.parts}
        return {path: time for path, time in found.items() if not path.is_dir()}, set(found)

    before = listing()
    yield desk
    assert listing() == before

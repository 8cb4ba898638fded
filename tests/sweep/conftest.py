"""A folder of models as a user would have it: two that export, one that raises; and the command to sweep them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.limits import HANG

NETS = """
import torch
import layers

def small():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, layers.WIDTH), torch.nn.Tanh()), torch.zeros(2, 4)

def broken():
    raise ValueError("no weights today")
"""
MODELS = """
[defaults]
to = ["torchscript"]
count = 32

[models.first]
source = "nets:small"

[models.broken]
source = "nets:broken"

[models.second]
source = "other:small"
"""


@dataclass(frozen=True)
class Swept:
    code: int
    out: str
    err: str
    folder: Path
    data: dict = field(default_factory=dict)

    @property
    def verdicts(self):
        return {model["name"]: model["verdict"] for model in self.data["models"]}

    @property
    def cached(self):
        return {model["name"] for model in self.data["models"] if model["cached"]}


@pytest.fixture
def fleet(tmp_path):
    """A function that sweeps the folder's models with some options."""
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "other.py").write_text(NETS.replace("layers.WIDTH", "5").replace("import layers\n", ""))
    (tmp_path / "layers.py").write_text("WIDTH = 3\n")
    (tmp_path / "models.toml").write_text(MODELS)

    def swept(*options):
        command = [sys.executable, "-m", "toolkit", "sweep", str(tmp_path / "models.toml"), "-o", "out",
                   "--threads", "1", *options]  # fmt: skip
        done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=HANG)
        path = tmp_path / "out" / "sweep.json"
        data = json.loads(path.read_text()) if path.exists() else {}
        return Swept(done.returncode, done.stdout, done.stderr, tmp_path, data)

    swept.folder = tmp_path
    return swept

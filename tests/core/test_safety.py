"""Files of strangers: attacks are refused without being opened, and what only computes is not."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.limits import HANG
from toolkit import cli, safety
from toolkit.errors import BadInput, UnsafeFile
from toolkit.files import digest
from toolkit.safety import lists, torchscript

ATTACKS = {
    "saves.pt": "torch.save",
    "reads.pt": "torch.from_file",
    "opens.pt": "torch.save",
    "hangs.pt": "__setstate__",
    "writes": "WriteFile",
    "reads": "ReadFile",
    "prints": "PrintV2",
    "saves": "Save",
    "saves_anew": "SaveV2",
    "calls": "WriteFile",
    "runs_python": "EagerPyFunc",
}
RIGHT = ("right.pt", "quantised.pt", "right")


def kind_of(name):
    return "torchscript" if name.endswith(".pt") else "savedmodel"


def script(*arguments):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=HANG, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacks")
    for framework in ("torch", "tensorflow"):
        script(str(Path(__file__).with_name("attacks.py")), framework, str(folder))
    (folder / "marker").unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_named(files, name):
    assert any(ATTACKS[name] in found for found in safety.findings(files / name, kind_of(name)))
    assert not (files / "marker").exists()


@pytest.mark.parametrize("name", RIGHT)
def test_what_only_computes_is_let_through(files, name):
    assert safety.findings(files / name, kind_of(name)) == []


@pytest.mark.parametrize("name", ["opens.pt", "hangs.pt", "writes"])
def test_every_command_refuses_them(files, name, capsys, exports):
    path = str(files / name)
    for command in (["export", path, "--to", "onnx", "-o", str(files / "out")], ["predict", path, "nothing.npz"]):
        assert cli.invoke(command) == 5
        assert "--trust" in capsys.readouterr().err
    assert cli.invoke(["inspect", path]) == 0
    assert "may do more than compute" in capsys.readouterr().out
    assert cli.invoke(["verify", str(exports["torch"].folder), path, "--no-latency"]) == 5
    assert "REFUSED" in capsys.readouterr().out
    assert not (files / "out").exists()
    assert not (files / "marker").exists()


def test_trust_is_bound_to_the_content(files):
    path = files / "reads.pt"
    safety.require(path, "torchscript", [digest(path)[:16]])
    for prefix in ("", digest(path)[:7], "0" * 16):
        with pytest.raises(UnsafeFile, match="from_file"):
            safety.require(path, "torchscript", [prefix])


def archive(path, **parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name.replace("__", "/", 1), content)
    return path


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def forward(self, x):\n  return ops.evil.run(x)\n", "evil::run"),
        ("def forward(self, x):\n  _0 = torch.save\n  return _0(x)\n", "_0()"),
        ("def forward(self, x):\n  return eval(x)\n", "eval()"),
        ("def forward(self, x):\n  return __torch__.torch.classes.evil.Thing(x)\n", "torch.classes.evil.Thing"),
        ("def forward(self x", "cannot be read"),
        ("x = " + "(" * 5000, "cannot be read"),
    ],
)
def test_code_that_no_compiler_wrote(tmp_path, code, words):
    path = archive(tmp_path / "m.pt", **{"m__code/a.py": code})
    assert any(words in found for found in safety.findings(path, "torchscript"))


def test_a_bomb_is_not_inflated(tmp_path):
    path = archive(tmp_path / "m.pt", **{"m__code/a.py": b" " * (torchscript.LARGEST + 1)})
    with pytest.raises(BadInput, match="inflate"):
        safety.findings(path, "torchscript")


@pytest.mark.parametrize("kind", ["torchscript", "savedmodel"])
def test_what_is_damaged_is_told(tmp_path, kind):
    path = tmp_path / "m"
    if kind == "savedmodel":
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    else:
        path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BadInput, match="damaged"):
        safety.findings(path, kind)


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_the_lists_are_what_the_installed_frameworks_give(framework):
    listed = script("-W", "ignore", "-m", "toolkit.safety.lists", framework).split()
    assert sorted(lists.allowed(framework)) == sorted(listed)


def test_no_operator_of_files_is_listed():
    for framework in ("torch", "tensorflow"):
        names = [name.lower() for name in lists.allowed(framework)]
        assert len(names) > 900
        assert not [
            name for name in names if any(word in name for word in ("file", "save", "printv", "restore", "load"))
        ]

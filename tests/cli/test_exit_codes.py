"""Each exit code reached by a real command; and what stands on stdout."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

QUICK = ("--count", 32, "--no-latency")

WITHOUT = """
import importlib.abc, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
from toolkit.worker.server import main
main()
"""


def test_0_all_passed(toolkit, at_desk):
    done = toolkit("verify", "good", "--no-latency", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["passed"] is True
    assert [row["verdict"] for row in done.json["rows"]] == ["PASS"] * 6
    assert [row["ran_on"] for row in done.json["rows"]] == ["cpu"] * 6


def test_0_in_words(toolkit, at_desk):
    done = toolkit("verify", "zoo_torch:build", "model.onnx", *QUICK)
    assert done.code == 0
    assert done.out.splitlines()[-1] == "1 passed -> exit 0"
    assert done.err == ""


def test_1_a_wrong_export(toolkit, at_desk):
    done = toolkit("verify", "zoo_keras:build", "model.onnx", *QUICK, "--json")
    assert done.code == 1
    assert done.json["rows"][0]["verdict"] == "FAIL"


def test_3_a_device_that_is_not_there(toolkit, at_desk, monkeypatch):
    from toolkit.runtime import devices

    assert devices.missing_for_cuda("torch")
    done = toolkit("verify", "good", "--device", "cpu", "--device", "cuda", "--no-latency", "--json")
    assert done.code == 3
    rows = {(row["format"], row["device"]): (row["verdict"], row["reason"]) for row in done.json["rows"]}
    assert {verdict for (_, device), (verdict, _) in rows.items() if device == "cpu"} == {"PASS"}
    for runtime, names in {
        "onnxruntime": ["onnx"],
        "torch": ["torchscript"],
        "tensorflow": ["savedmodel", "hdf5"],
    }.items():
        for name in names:
            assert rows[name, "cuda"] == ("NOT RUN", f"cuda: {devices.missing_for_cuda(runtime)}")


def test_3_predict_on_a_device_that_is_not_there(toolkit, at_desk):
    from toolkit.runtime import devices

    done = toolkit("predict", "model.onnx", "good.npz", "--device", "cuda")
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        f"DeviceMissing: onnxruntime on cuda: {devices.missing_for_cuda('onnxruntime')}\n"
        "  `toolkit doctor` says how to mend it.\n"
    )


def test_3_a_framework_that_is_not_installed(toolkit, at_desk, tmp_path):
    script = tmp_path / "without_torch.py"
    root = str(Path(__file__).parents[2])
    script.write_text(f"import sys; sys.path.insert(0, {root!r})\n" + WITHOUT.format(missing={"torch"}))
    command = f"torch={sys.executable} -P {script}"
    done = toolkit("export", "zoo_torch:build", "--to", "onnx", "-o", "out", "--python", command)
    assert (done.code, done.out) == (3, "")
    assert done.err == "RuntimeMissing: the package 'torch' is not installed\n  `toolkit doctor` says what to run.\n"
    assert not Path("out").exists()

    done = toolkit("verify", "good", "model.onnx", "model.pt", "--python", command, "--no-latency", "--json")
    assert done.code == 3
    assert [(row["verdict"], row["reason"]) for row in done.json["rows"]] == [
        ("PASS", done.json["rows"][0]["reason"]),
        ("NOT RUN", "cpu: the package 'torch' is not installed"),
    ]


def test_4_a_model_that_kills_its_process(toolkit, at_desk):
    done = toolkit("export", "factories:crashes", "--to", "onnx", "-o", "out")
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("WorkerCrashed: torch crashed: SIGSEGV (open factories:crashes)\n  Its last line: ")
    assert not Path("out").exists()


def test_4_a_model_that_takes_too_long(toolkit, at_desk):
    done = toolkit("export", "zoo_torch:build", "--to", "onnx", "-o", "out", "--timeout", 0.2)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("WorkerTimeout: the torch worker did not answer in time (")
    assert done.err.endswith(") and was stopped\n  Give it more time with --timeout.\n")


def test_4_a_model_that_is_too_large(toolkit, at_desk):
    done = toolkit("export", "zoo_torch:build", "--to", "onnx", "-o", "out", "--memory", 0.05)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("WorkerOutOfMemory: the torch worker grew past 50.0 MB (")


def test_5_a_pickled_model_and_how_to_allow_it(toolkit, at_desk, tmp_path):
    found = hashlib.sha256(Path("pickled.pt").read_bytes()).hexdigest()
    asked = ("export", "pickled.pt", "--input", "x:float32[batch,4]", "--to", "torchscript", "-o", tmp_path / "out")
    done = toolkit(*asked)
    assert (done.code, done.out) == (5, "")
    assert done.err == (
        "UnsafeFile: pickled.pt: a pickled model runs code when it is opened (it calls zoo_torch.Net,"
        " torch.nn.modules.batchnorm.BatchNorm1d, torch.nn.modules.linear.Linear, torch.nn.modules.dropout.Dropout)\n"
        f"  If the file is your own, allow exactly this one: --trust {found[:16]}\n"
    )
    for wrong in ("00000000", found[:7], ""):
        assert toolkit(*asked, "--trust", wrong).code == 5
    assert not (tmp_path / "out").exists()
    done = toolkit(*asked, "--trust", found[:16].upper(), *QUICK, "-q")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "out/model.pt").is_file()


def test_5_a_program_archive(toolkit, at_desk):
    found = hashlib.sha256(Path("program.pt2").read_bytes()).hexdigest()
    done = toolkit("export", "program.pt2", "--to", "onnx", "-o", "out")
    assert (done.code, done.out) == (5, "")
    assert done.err == (
        "UnsafeFile: program.pt2: a .pt2 archive may run code when PyTorch opens it\n"
        "  Export from the model itself, or from its TorchScript file; if the file is your own, allow exactly this one:"
        f" --trust {found[:16]}\n"
    )


def test_6_a_model_that_is_random(toolkit, at_desk):
    done = toolkit("verify", "zoo_random:build", "random.pt", *QUICK, "--json")
    assert done.code == 6
    row = done.json["rows"][0]
    reason = "the source gives other outputs when run again: it is random, or keeps a state"
    assert (row["verdict"], row["reason"]) == ("INCONCLUSIVE", reason)
    done = toolkit("export", "zoo_random:build", "--to", "torchscript", "-o", "out", *QUICK, "--json")
    assert (done.code, done.out) == (6, "")
    assert done.err == (
        f"Inconclusive: zoo_random:build: {reason}\n"
        "  Take the randomness out of its forward pass, or fix its seed there; nothing was written.\n"
    )
    assert not Path("out").exists()


def test_6_a_model_whose_new_head_is_all_zeros(toolkit, at_desk):
    done = toolkit("export", "factories:new_head", "--to", "onnx", "-o", "out", *QUICK)
    assert (done.code, done.out) == (6, "")
    assert done.err.endswith(
        "Inconclusive: factories:new_head: the source's outputs do not depend on its inputs; all zeros are its"
        " '2.weight'\n  Give it the weights that it was trained to; nothing was written.\n"
    )
    assert not Path("out").exists()


def test_130_is_interrupted(toolkit, monkeypatch):
    from toolkit import cli

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.group, "main", interrupted)
    done = toolkit("formats")
    assert (done.code, done.out, done.err) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    "line",
    [
        "verify good model.onnx --no-latency --json",
        "predict model.onnx good.npz --json",
        "bench model.onnx model.onnx --json",
        "formats --json",
        "doctor --json",
    ],
)
def test_json_is_all_of_stdout(toolkit, at_desk, line):
    done = toolkit(*line.split())
    assert isinstance(done.json, dict)
    assert done.out.count("\n}") == 1
    assert done.err == ""


def test_predicted_arrays_are_written_whole(toolkit, at_desk, tmp_path):
    done = toolkit("predict", "model.onnx", "good.npz", "-o", tmp_path / "made.npz", "--json")
    assert done.code == 0
    assert done.json["outputs"] == {"output": {"dtype": "float32", "shape": [3, 3]}}
    with np.load(tmp_path / "made.npz") as file:
        np.testing.assert_allclose(file["output"].sum(1), 1, rtol=1e-6)
    assert zipfile.ZipFile(tmp_path / "made.npz").testzip() is None


def test_export_says_what_it_would_do(toolkit, at_desk):
    done = toolkit("export", "zoo_torch:build", "--to", "onnx", "--to", "hdf5", "-o", "out", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "source   zoo_torch:build: torch-factory, opened by torch\nwrite    out/model.onnx\nwrite    out/model.h5\n"
        "verify   on cpu with up to 512 inputs\n"
    )
    assert not Path("out").exists()


def test_reports_as_files(toolkit, at_desk, tmp_path):
    done = toolkit(
        "verify", "good", "model.onnx", "--no-latency", "--json", tmp_path / "r.json", "--html", tmp_path / "r.html",
        "--junit", tmp_path / "r.xml", "--md", tmp_path / "r.md",
    )  # fmt: skip
    assert done.code == 0
    assert json.loads((tmp_path / "r.json").read_text())["passed"] is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.json", "r.md", "r.xml"]

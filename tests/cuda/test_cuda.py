"""What only a GPU can show: each format really runs there, and predicts what the source predicts.

Every test skips with the name of the library that is missing; none passes without a device. `make cuda` runs these
alone, with whatever of PyTorch, TensorFlow and ONNX Runtime the machine has.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from toolkit import bundle, formats
from toolkit.runtime import devices
from toolkit.verification.report import Report, Verdict
from toolkit.verification.verifier import verify

pytestmark = pytest.mark.cuda

FACTORY = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
    return model.eval(), (torch.randn(2, 3, 8, 8),)
"""


def require(form: str) -> None:
    """Skip where the format's runtime cannot use CUDA, saying what is missing."""
    runtime = formats.by_name(form).runtime
    missing = devices.missing_for_cuda(runtime)
    if missing:
        pytest.skip(f"{runtime} on cuda: {missing}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "cuda_model.py").write_text(FACTORY)
    return folder


def export_and_verify(folder: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.chdir(folder)
    made = bundle.export("cuda_model:build", form, folder / form, latency=False)
    return verify("cuda_model:build", [made.file(form)], ["cpu", "cuda"])


@pytest.mark.parametrize("form", [name for name, form in formats.FORMATS.items() if "cuda" in form.devices])
def test_the_format_passes_on_cuda_and_ran_there(form: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(form)
    if find_spec("torch") is None:
        pytest.skip("the source of these tests is a PyTorch model, and torch is not installed")
    report = export_and_verify(folder, form, monkeypatch)
    ran = {row.device: (row.verdict, row.ran_on.partition(":")[0]) for row in report.rows}
    assert ran == {"cpu": (Verdict.PASS, "cpu"), "cuda": (Verdict.PASS, "cuda")}, [row.reason for row in report.rows]


@pytest.mark.parametrize("framework", ["torch", "keras", "tensorflow"])
def test_training_runs_on_cuda_with_mixed_precision(framework: str, tmp_path: Path) -> None:
    from toolkit.worker.pool import WorkerPool
    from trainers.options import TrainOptions

    runtime = "torch" if framework == "torch" else "tensorflow"
    missing = devices.missing_for_cuda(runtime)
    if missing:
        pytest.skip(f"{runtime} on cuda: {missing}")
    options = TrainOptions(
        framework=framework, model="feedforward", output=str(tmp_path / "trained"), epochs=10, device="cuda", amp=True
    )
    with WorkerPool() as pool:
        result = pool.worker(runtime, "cuda").call("trainers.tasks:train", {"options": options.to_json()})
    assert result["facts"]["accuracy"] > 0.8

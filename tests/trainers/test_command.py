"""`toolkit train`, with the worker replaced by a function."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from click.testing import CliRunner

from toolkit.cli import train as module
from toolkit.errors import BadInput

RESULT = {
    "artifact": "/out",
    "files": {"weights": "weights.pth", "history": "history.json"},
    "facts": {"accuracy": 0.9125, "loss": 0.25, "epochs": 3},
    "history": {"epochs": [{"items_per_second": 123456.7}], "stopped_early": False, "best": None},
}
TRAIN = {"stage": "train", "epoch": 2, "epochs": 3, "total": 9}
EVENTS = [
    {"stage": "download", "file": "train.gz", "done": 10, "total": 10},
    {"stage": "resume", "epoch": 1, "epochs": 3},
    TRAIN | {"done": 5, "loss": 2.0, "accuracy": 0.1, "items_per_second": 7.0},
    TRAIN | {"done": 9, "loss": 1.0, "accuracy": 0.5, "items_per_second": 1e4},
    {"stage": "validate", "epoch": 2, "epochs": 3, "loss": 0.9, "accuracy": 0.625},
    {"stage": "save", "output": "/out", "plot": True, "loss": 0.25, "accuracy": 0.9125},
]  # fmt: skip


class Worker:
    """Answers like a worker and remembers what it was asked."""

    def __init__(self, losses=None) -> None:
        self.calls, self.losses = [], losses or {}

    def __call__(self, runtime, device, task, params, told):
        self.calls.append((runtime, device, task, params["options"]))
        for event in EVENTS:
            told(event)
        if task == "trainers.tasks:same_start":
            return {"losses": self.losses[params["options"]["framework"]]}
        return RESULT


@pytest.fixture
def worker(monkeypatch) -> Worker:
    worker = Worker()
    monkeypatch.setattr(module, "_workers", lambda: contextlib.nullcontext(worker))
    return worker


def invoke(*arguments: str):
    return CliRunner().invoke(module.command, arguments)


def test_trains(worker, tmp_path):
    output = str(tmp_path / "run")
    done = invoke("--framework", "keras", "--model", "fashion", "-o", output, "--augment", "--amp", "--epochs", "3")
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        "fashion in keras, 3 epochs: test accuracy 91.2%, loss 0.2500\n"
        "  123,457 items/s on cpu in the last epoch\n"
        "  /out: history.json, weights.pth\n"
    )
    assert done.stderr == (
        "resuming after epoch 1\n"
        "epoch 2/3   loss 1.0000  accuracy 50.0%  10,000 items/s   validation loss 0.9000  accuracy 62.5%\n"
        "writing /out\n"
    )
    ((runtime, device, task, options),) = worker.calls
    assert (runtime, device, task) == ("tensorflow", "cpu", "trainers.tasks:train")
    assert (options["augment"], options["amp"], options["epochs"], options["optimizer"]) == (2, True, 3, "adam")
    assert options["output"] == output


def test_paths_are_made_absolute(worker, tmp_path, monkeypatch):
    """A worker has a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    invoke("--framework", "torch", "--model", "fashion", "-o", "run", "--data-dir", "data")
    options = worker.calls[0][3]
    assert (options["output"], options["data_dir"]) == (str(tmp_path / "run"), str(tmp_path / "data"))


def test_json(worker, tmp_path):
    done = invoke("--framework", "torch", "--model", "fashion", "-o", str(tmp_path / "run"), "--json")
    assert json.loads(done.stdout) == RESULT
    assert len(done.stdout.splitlines()) == 1


def test_early_stop_is_told(worker, tmp_path, monkeypatch):
    history = RESULT["history"] | {"stopped_early": True, "best": 2}
    monkeypatch.setitem(RESULT, "history", history)
    done = invoke("--framework", "torch", "--model", "fashion", "-o", str(tmp_path / "run"), "--early-stop", "1")
    assert "  stopped early; the weights are those of epoch 2\n" in done.stdout


def test_framework_is_needed(worker, tmp_path):
    done = invoke("--model", "fashion", "-o", str(tmp_path / "run"))
    assert done.exit_code == 2
    assert "Error: Missing option '--framework'. Choose from torch, keras, tensorflow." in done.stderr


def test_same_start_takes_no_framework(worker, tmp_path):
    done = invoke("--same-start", "--framework", "torch", "--model", "fashion", "-o", str(tmp_path / "run"))
    assert done.exit_code == 2
    assert "Error: --same-start trains in all three frameworks: leave --framework out." in done.stderr


def test_wrong_values_are_named(worker, tmp_path):
    done = invoke("--framework", "torch", "--model", "fashion", "-o", str(tmp_path / "run"), "--batch-size", "1")
    assert isinstance(done.exception, BadInput)
    assert str(done.exception) == "BadInput: batch_size is 1; it must be at least 2"
    assert worker.calls == []


@pytest.mark.parametrize(("last", "code", "verdict"), [(1.0, 0, "agree"), (1.1, 1, "part")])
def test_same_start(worker, tmp_path, last, code, verdict):
    worker.losses = {"torch": [2.0, 1.0], "keras": [2.0, 1.0], "tensorflow": [2.0, last]}
    output = tmp_path / "run"
    done = invoke("--same-start", "--model", "fashion", "-o", str(output))
    assert done.exit_code == code
    difference = {"agree": "0.0e+00 at step 1", "part": "9.1e-02 at step 2"}[verdict]
    assert done.stdout == (
        "fashion, 2 steps of sgd from the same start\n"
        "  torch       loss 2.000000 -> 1.000000\n"
        "  keras       loss 2.000000 -> 1.000000\n"
        f"  tensorflow  loss 2.000000 -> {last:.6f}\n"
        f"the losses {verdict}: largest relative difference {difference} (tolerance 1e-05)\n"
        f"  {output}/same-start.json, {output}/same-start.png\n"
    )
    assert [(call[0], call[3]["framework"], call[3]["dropout"]) for call in worker.calls] == [
        ("torch", "torch", 0.0),
        ("tensorflow", "keras", 0.0),
        ("tensorflow", "tensorflow", 0.0),
    ]


def test_same_start_as_json(worker, tmp_path):
    worker.losses = {"torch": [1.0], "keras": [1.0], "tensorflow": [1.0]}
    done = invoke("--same-start", "--model", "fashion", "-o", str(tmp_path / "run"), "--json")
    record = json.loads(done.stdout)
    assert (record["agrees"], record["model"], record["losses"]["keras"]) == (True, "fashion", [1.0])


def test_help_shows_the_examples_line_by_line():
    lines = invoke("--help").stdout.splitlines()
    assert "  toolkit train --framework torch --model fashion -o runs/fashion" in lines
    assert "  toolkit train --same-start --model feedforward -o runs/same-start" in lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    with module.progress(screen) as told:
        for event in EVENTS:
            told(event)
    shown = screen.getvalue()
    assert "writing /out" in shown
    assert "\x1b[" in shown

"""Training options: what is accepted, and the exact words for what is not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from toolkit.errors import BadInput
from trainers.options import TrainOptions

FIT = {"framework": "torch", "model": "fashion", "output": "out"}

WRONG = {
    "framework": ("jax", "framework is 'jax'; it must be one of torch, keras, tensorflow"),
    "model": ("resnet", "model is 'resnet'; it must be one of feedforward, fashion"),
    "dataset": ("cifar", "dataset is 'cifar'; it must be one of digits, mnist, fashion-mnist"),
    "optimizer": ("lion", "optimizer is 'lion'; it must be one of adam, sgd"),
    "device": ("tpu", "device is 'tpu'; it must be one of cpu, cuda"),
    "loop": ("while", "loop is 'while'; it must be one of fit, custom"),
    "epochs": (0, "epochs is 0; it must be at least 1"),
    "batch_size": (1, "batch_size is 1; it must be at least 2"),
    "learning_rate": (float("nan"), "learning_rate is nan; it must be a positive number"),
    "seed": (-1, "seed is -1; it must be from 0 to 4294967295"),
    "validation_split": (1.0, "validation_split is 1.0; it must be at least 0 and below 1"),
    "augment": (15, "augment is 15; it must be from 0 to 14 pixels"),
    "early_stop": (-1, "early_stop is -1; it must be 0 or a number of epochs"),
    "dropout": (1.0, "dropout is 1.0; it must be at least 0 and below 1"),
    "checkpoint_seconds": (-0.1, "checkpoint_seconds is -0.1; it must be 0 or a number of seconds"),
    "output": ("/", "output is '/'; it must be the name of a folder"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_value(name):
    value, message = WRONG[name]
    with pytest.raises(BadInput) as caught:
        TrainOptions(**FIT | {name: value})
    assert str(caught.value) == f"BadInput: {message}"


def test_early_stop_needs_validation():
    with pytest.raises(BadInput) as caught:
        TrainOptions(**FIT, early_stop=3, validation_split=0.0)
    assert str(caught.value) == (
        "BadInput: early_stop is 3 and validation_split is 0: nothing tells when to stop\n"
        "  Give a validation split, for instance 0.1."
    )


def test_unknown_option():
    with pytest.raises(BadInput, match=r"^BadInput: 'epoch' is not a training option\n  Use framework, model, output"):
        TrainOptions.from_json(FIT | {"epoch": 3})


def test_json_round_trip():
    options = TrainOptions(**FIT, learning_rate=0.25, augment=2, amp=True, data_dir="data")
    assert TrainOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


@pytest.mark.parametrize(("optimizer", "given", "rate"), [("adam", None, 0.001), ("sgd", None, 0.1), ("sgd", 1.5, 1.5)])
def test_learning_rate(optimizer, given, rate):
    assert TrainOptions(**FIT, optimizer=optimizer, learning_rate=given).rate == rate


LIGHT = """
import sys, {module}
print(sorted({{name.partition(".")[0] for name in sys.modules}} & {{{heavy}}}))
"""
HEAVY = {
    "trainers": ("torch", "tensorflow", "keras", "numpy", "matplotlib", "PIL"),
    "toolkit.cli.train": ("torch", "tensorflow", "keras", "numpy", "matplotlib", "PIL", "rich"),
    "trainers.training, trainers.same_start, trainers.tasks": ("torch", "tensorflow", "keras", "matplotlib", "PIL"),
}


@pytest.mark.parametrize("module", HEAVY)
def test_light_imports(module):
    heavy = ", ".join(map(repr, HEAVY[module]))
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(module=module, heavy=heavy)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"

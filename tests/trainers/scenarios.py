"""Everything that the tests want to know of one framework, gathered in one process: importing one costs seconds.

    python tests/trainers/scenarios.py kill FRAMEWORK FOLDER      train, and die of SIGKILL in the third epoch
    python tests/trainers/scenarios.py gather FRAMEWORK FOLDER    the rest; writes FOLDER/found.json and .npz files

Run by conftest.py; holds no assertion.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path

import numpy as np

import trainers
from toolkit.errors import ToolkitError
from trainers import tasks
from trainers.data import Part
from trainers.options import MODELS, TrainOptions


class Session:
    def progress(self, fields) -> None:
        pass


def eventful(framework: str, output: Path, **more) -> TrainOptions:
    """A run in which everything random and everything stateful takes part."""
    return TrainOptions(
        framework, "feedforward", str(output), epochs=5, augment=1, early_stop=4, checkpoint_seconds=0, **more
    )


def stopping_in(epoch: int, stop) -> object:
    def told(fields) -> None:
        if fields["stage"] == "validate" and fields["epoch"] == epoch:
            stop()

    return told


def interrupt() -> None:
    raise KeyboardInterrupt


def kill(framework: str, folder: Path) -> None:
    trainers.train(eventful(framework, folder / "killed"), stopping_in(3, lambda: os.kill(os.getpid(), signal.SIGKILL)))


def resumed(options: TrainOptions) -> tuple[dict, list]:
    """Weights and losses of a run, and the epochs it says it resumed after."""
    events = []
    artifact = trainers.train(options, events.append)
    history = json.loads(artifact.file("history").read_text())
    rows = [[row[name] for name in ("loss", "accuracy", "validation_loss")] for row in history["epochs"]]
    return {"weights": WEIGHTS[options.framework](artifact), "rows": rows}, [
        event["epoch"] for event in events if event["stage"] == "resume"
    ]


def exact_resume(framework: str, folder: Path) -> dict:
    """Three ways to the same weights: in one go, after SIGKILL, and after an exception in this process."""
    whole, _ = resumed(eventful(framework, folder / "whole"))
    killed, after_kill = resumed(eventful(framework, folder / "killed", resume=True))
    found = {"killed": same(whole, killed), "killed resumed after": after_kill}
    custom = {"loop": "custom"} if framework == "keras" else {"amp": True}
    whole, _ = resumed(eventful(framework, folder / "whole", **custom))
    try:
        trainers.train(eventful(framework, folder / "broken", **custom), stopping_in(3, interrupt))
    except KeyboardInterrupt:
        broken, after_break = resumed(eventful(framework, folder / "broken", resume=True, **custom))
        found |= {"broken": same(whole, broken), "broken resumed after": after_break}
    found["checkpoints left"] = sorted(path.name for path in folder.glob("*.checkpoint.npz"))
    return found


def same(one: dict, other: dict) -> dict:
    names = sorted(one["weights"])
    return {
        "same names": names == sorted(other["weights"]),
        "differing weights": [n for n in names if one["weights"][n].tobytes() != other["weights"][n].tobytes()],
        "bytes compared": sum(value.nbytes for value in one["weights"].values()),
        "same rows": one["rows"] == other["rows"],
    }


def learning(framework: str, folder: Path, models=MODELS, **more) -> dict:
    found = {}
    for model in models:
        artifact = trainers.train(TrainOptions(framework, model, str(folder / model), **more))
        found[model] = {"facts": artifact.facts, "files": artifact.files, "factory": artifact.factory}
    return found


def persistence(framework: str, folder: Path) -> dict:
    """Outputs of the trained model and of every form it was saved in, on the same items."""
    trainer = import_module(f"trainers.{framework}_trainer")
    from toolkit import artifact as artifacts

    found = {}
    for model in MODELS:
        artifact = artifacts.load(folder / model)
        test = np.load(artifact.file("test"))
        part = Part(test["x"], test["labels"])
        loaded = trainer.load(artifact)
        predicted = trainer.predict(loaded, part.x)
        found[model] = asdict(trainer.evaluate(loaded, part)) | {
            "predicted right": float((predicted == part.labels).mean()),
            "predictions": [str(predicted.dtype), list(predicted.shape)],
        }
        forms = FORMS[framework](artifact, loaded, part.x[:100])
        np.savez(folder / f"{model}-forms.npz", **forms)
    return found


def torch_forms(artifact, loaded, x) -> dict:
    import torch

    whole = torch.load(artifact.file("model"), weights_only=False).eval()
    with torch.no_grad():
        return {"loaded": loaded(torch.from_numpy(x)).numpy(), "model": whole(torch.from_numpy(x)).numpy()}


def keras_forms(artifact, loaded, x) -> dict:
    import keras
    import tensorflow as tf

    served = tf.saved_model.load(str(artifact.file("saved_model"))).signatures["serving_default"]
    return {
        "loaded": loaded(x, training=False).numpy(),
        "model": keras.models.load_model(artifact.file("model"))(x, training=False).numpy(),
        "hdf5": keras.models.load_model(artifact.file("hdf5"))(x, training=False).numpy(),
        # A compiled graph rounds otherwise than eager calls: each is compared with its like.
        "graph": tf.function(lambda x: loaded(x, training=False))(tf.constant(x)).numpy(),
        "saved_model": served(x=tf.constant(x))[artifact.contract.scores].numpy(),
    }


def tensorflow_forms(artifact, loaded, x) -> dict:
    import tensorflow as tf

    served = tf.saved_model.load(str(artifact.file("saved_model"))).signatures["serving_default"]
    return {
        "loaded": loaded(tf.constant(x)).numpy(),
        "graph": tf.function(loaded.__call__)(tf.constant(x)).numpy(),
        "saved_model": served(x=tf.constant(x))[artifact.contract.scores].numpy(),
    }


def torch_weights(artifact) -> dict:
    import torch

    return {name: value.numpy() for name, value in torch.load(artifact.file("weights")).items()}


def keras_weights(artifact) -> dict:
    import keras

    model = keras.models.load_model(artifact.file("model"))
    return {f"{index}": value for index, value in enumerate(model.get_weights()[:8])}


def tensorflow_weights(artifact) -> dict:
    from trainers import tensorflow_trainer

    return {name: value.numpy() for name, value in tensorflow_trainer.load(artifact).parameters.items()}


FORMS = {"torch": torch_forms, "keras": keras_forms, "tensorflow": tensorflow_forms}
WEIGHTS = {"torch": torch_weights, "keras": keras_weights, "tensorflow": tensorflow_weights}


def start(framework: str) -> dict:
    """Losses from the shared start: 50 steps of SGD, which must agree, and 20 of Adam, which must nearly."""
    found = {}
    for name, steps in (("sgd", 50), ("adam", 20)):
        for model in MODELS:
            options = TrainOptions(framework, model, "unused", optimizer=name)
            found[f"{model} {name}"] = tasks.same_start(Session(), options.to_json(), steps)["losses"]
    return found


def fifth_losses(framework: str, half: bool = False) -> dict:
    """The loss of the fifth step from the shared start, by precision."""
    trainer = import_module(f"trainers.{framework}_trainer")
    found: dict[str, dict[str, float]] = {}
    for precision in ("float16",) if half else ("float32", "bfloat16"):
        amp = precision != "float32"
        for model in MODELS:
            options = TrainOptions(framework, model, "unused", same_start=True, dropout=0.0, loop="custom", amp=amp)
            losses = trainer.same_start(options, 5)
            found.setdefault(precision, {})[model] = losses[-1]
    return found


def float16(framework: str, folder: Path) -> dict:
    """The arithmetic of CUDA's mixed precision, with its scaled loss, on the CPU."""
    trainer = import_module(f"trainers.{framework}_trainer")
    table = trainer._AMP_POLICIES if framework == "keras" else trainer._AMP_DTYPES
    table["cpu"] = table["cuda"]
    # Keras in both its loops, one for each model.
    loops = dict(zip(MODELS, ("custom", "fit"), strict=True))
    return {
        model: learning(framework, folder, (model,), amp=True, loop=kind, epochs=10)[model]
        for model, kind in loops.items()
    }


def failure(options: TrainOptions) -> str:
    try:
        trainers.train(options)
    except ToolkitError as error:
        return str(error)
    return "nothing was raised"


def failures(framework: str, folder: Path) -> dict:
    options = TrainOptions(framework, "fashion", str(folder / "failed"), optimizer="sgd", epochs=2)
    return {
        "diverged": failure(replace(options, learning_rate=1e30)),
        "no cuda": failure(replace(options, device="cuda")),
        "left": sorted(path.name for path in folder.glob("failed*")),
    }


def torch_only(folder: Path) -> dict:
    import torch

    before = torch.random.get_rng_state()
    trainers.train(TrainOptions("torch", "fashion", str(folder / "rng"), epochs=1))
    return {"random state kept": bool((torch.random.get_rng_state() == before).all())}


def keras_only(folder: Path) -> dict:
    """`fit` against the custom loop."""
    rows = {}
    for kind in ("fit", "custom"):
        artifact = trainers.train(TrainOptions("keras", "feedforward", str(folder / kind), epochs=2, loop=kind))
        rows[kind] = json.loads(artifact.file("history").read_text())["epochs"]
    return {"rows": rows}


def tensorflow_only(folder: Path) -> dict:
    """The hand-written parts: a loss scale that meets an overflow, and dropout."""
    import tensorflow as tf

    from trainers import models_tensorflow, tensorflow_trainer

    value = tf.Variable([1.0])
    optimizer, scale = tensorflow_trainer.Sgd([value], 0.5), tensorflow_trainer.LossScale()
    seen = []
    for gradient in (2.0, float("inf"), float("nan"), 2.0):
        scale.apply([tf.constant([gradient]) * scale.scale], optimizer)
        seen.append([float(value[0]), float(scale.scale), int(scale.good_steps)])
    scale.good_steps.assign(scale.GROWTH - 1)
    scale.apply([tf.constant([0.0])], optimizer)
    dropped = models_tensorflow._dropped(tf.ones((100, 1000)), 0.25, [1, 2]).numpy()
    return {
        "scale": seen,
        "grown": float(scale.scale),
        "dropped share": float((dropped == 0).mean()),
        "kept value": float(dropped.max()),
        "variables": [type(v).__module__.partition(".")[0] for v in models_tensorflow.feedforward().variables],
    }


ONLY = {"torch": torch_only, "keras": keras_only, "tensorflow": tensorflow_only}


def gather(framework: str, folder: Path) -> None:
    parts = {
        "learning": lambda: learning(framework, folder),
        "persistence": lambda: persistence(framework, folder),
        "amp": lambda: learning(framework, folder / "amp", amp=True, epochs=10),
        "amp persistence": lambda: persistence(framework, folder / "amp"),
        "resume": lambda: exact_resume(framework, folder),
        "start": lambda: start(framework),
        "failures": lambda: failures(framework, folder),
        "only": lambda: ONLY[framework](folder),
        "float16": lambda: float16(framework, folder / "half"),  # last: it changes a table
    }
    found, seconds, fifth = {}, {}, fifth_losses(framework)
    for name, part in parts.items():
        started = time.perf_counter()
        found[name] = part()
        seconds[name] = round(time.perf_counter() - started, 1)
    found["fifth losses"] = fifth | fifth_losses(framework, half=True)
    found["modules"] = sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "tensorflow", "keras"})
    (folder / "found.json").write_text(json.dumps(found))
    print(framework, seconds)


if __name__ == "__main__":
    {"kill": kill, "gather": gather}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))

"""The six models: they learn, in full and mixed precision, survive saving and killing, and agree from one start."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

from toolkit import artifact as artifacts
from trainers import same_start

FRAMEWORKS = ("torch", "keras", "tensorflow")
MODELS = ("feedforward", "fashion")
SIX = [(framework, model) for framework in FRAMEWORKS for model in MODELS]
# On the digits, 20 epochs of Adam; the test images are by other writers than the training images.
ACCURACY = {"feedforward": 0.90, "fashion": 0.84}
FILES = {
    "torch": {"weights": "weights.pth", "model": "model.pth"},
    "keras": {
        "weights": "model.weights.h5",
        "model": "model.keras",
        "hdf5": "model.h5",
        "saved_model": "saved_model",
    },
    "tensorflow": {"saved_model": "saved_model", "weights": "checkpoint"},
}
COMMON = {"history": "history.json", "plot": "history.png", "test": "test.npz", "sample": "sample.png"}
# Which form each one is held to: a compiled graph rounds otherwise than eager calls.
REFERENCES = {"model": "loaded", "hdf5": "loaded", "saved_model": "graph"}


@pytest.mark.parametrize(("framework", "model"), SIX)
def test_learns(gathered, framework, model):
    assert gathered[framework].found["learning"][model]["facts"]["accuracy"] >= ACCURACY[model]


@pytest.mark.parametrize(("framework", "model"), SIX)
@pytest.mark.parametrize("precision", ["amp", "float16"])
def test_learns_in_mixed_precision(gathered, framework, model, precision):
    """bfloat16 as on the CPU, and CUDA's float16 with its scaled loss, in half the epochs."""
    facts = gathered[framework].found[precision][model]["facts"]
    assert facts["amp"] is True
    assert facts["accuracy"] >= ACCURACY[model] - 0.02


@pytest.mark.parametrize(("framework", "model"), SIX)
def test_precisions_are_three(gathered, framework, model):
    """None of them is another one under its name: the first steps already round differently."""
    losses = [found[model] for found in gathered[framework].found["fifth losses"].values()]
    assert len(set(losses)) == 3
    assert losses == pytest.approx([losses[0]] * 3, rel=0.05)


@pytest.mark.parametrize(("framework", "model"), SIX)
def test_folder_is_an_artifact(gathered, framework, model):
    folder = gathered[framework].folder / model
    artifact = artifacts.load(folder)
    assert artifact.format == framework
    assert artifact.factory == f"trainers.models_{framework}:{model}"
    assert dict(artifact.files) == FILES[framework] | COMMON
    assert {path.name for path in folder.iterdir()} == {"artifact.json", *artifact.files.values()}
    assert artifact.facts["dataset"] == "digits"
    assert artifact.facts["epochs"] == 20


def test_signature_and_contract(gathered):
    """An app repeats the preprocessing and reads the scores by these alone."""
    feedforward = artifacts.load(gathered["torch"].folder / "feedforward")
    assert str(feedforward.signature.inputs[0]) == "x:float32[batch,784]"
    assert str(feedforward.signature.outputs[0]) == "probabilities:float32[batch,10]"
    assert (feedforward.contract.scores, feedforward.contract.activation) == ("probabilities", "sigmoid")
    assert feedforward.contract.preprocessing.mean == (0.1558,)
    fashion = artifacts.load(gathered["torch"].folder / "fashion")
    assert str(fashion.signature.inputs[0]) == "x:float32[batch,28,28]"
    assert str(fashion.signature.outputs[0]) == "logits:float32[batch,10]"
    assert (fashion.contract.scores, fashion.contract.activation) == ("logits", "logits")
    assert fashion.contract.preprocessing.std == (1.0,)
    assert fashion.contract.labels == tuple("0123456789")


@pytest.mark.parametrize(("framework", "model"), SIX)
def test_sample_image_becomes_the_first_test_input(gathered, framework, model):
    """The runtime's reading of the contract and the trainer's preparation are the same arithmetic, bit for bit."""
    from toolkit.runtime import image

    artifact = artifacts.load(gathered[framework].folder / model)
    sample = image.load(artifact.file("sample"), artifact.contract.preprocessing)
    assert sample.tobytes() == np.load(artifact.file("test"))["x"][:1].tobytes()


@pytest.mark.parametrize(("framework", "model"), SIX)
@pytest.mark.parametrize("precision", ["", "amp"])
def test_loaded_model_scores_what_the_trained_one_scored(gathered, framework, model, precision):
    found = gathered[framework].found
    facts = found[precision or "learning"][model]["facts"]
    loaded = found[f"{precision} persistence".strip()][model]
    assert (loaded["loss"], loaded["accuracy"]) == (facts["loss"], facts["accuracy"])
    assert loaded["predicted right"] == facts["accuracy"]
    assert loaded["predictions"] == ["int64", [360]]


@pytest.mark.parametrize(("framework", "model"), SIX)
@pytest.mark.parametrize("precision", ["", "amp"])
def test_every_saved_form_predicts_the_same_bits(gathered, framework, model, precision):
    forms = np.load(gathered[framework].folder / precision / f"{model}-forms.npz")
    saved = [name for name in forms.files if name in REFERENCES]
    assert set(saved) == set(FILES[framework]) - {"weights"}
    for name in saved:
        assert forms[name].dtype == np.float32
        assert forms[name].shape == (100, 10)
        assert forms[name].tobytes() == forms[REFERENCES[name]].tobytes(), name


PLAIN = """
import sys, keras, numpy as np
for model in sys.argv[2:]:
    x, wanted = (np.load(f"{sys.argv[1]}/{model}{name}") for name in ("/test.npz", "-forms.npz"))
    found = keras.models.load_model(f"{sys.argv[1]}/{model}/model.h5")(x["x"][:100], training=False)
    print(np.asarray(found).tobytes() == wanted["loaded"].tobytes())
assert not {"trainers", "toolkit"} & set(sys.modules)
"""


def test_hdf5_loads_where_this_toolkit_is_unknown(gathered, python):
    done = python("-c", PLAIN, gathered["keras"].folder, *MODELS)
    assert (done.returncode, done.stdout.split()) == (0, ["True", "True"]), done.stderr[-2000:]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("interruption", ["killed", "broken"])
def test_resumes_to_the_same_bits(gathered, framework, interruption):
    """With Adam, dropout, augmentation and early stopping, after SIGKILL and after an exception (there also in mixed
    precision, or in Keras' custom loop)."""
    found = gathered[framework].found["resume"]
    assert gathered[framework].killed_with == -signal.SIGKILL
    assert found[f"{interruption} resumed after"] == [2]
    same = found[interruption]
    assert same["bytes compared"] > 800_000
    assert same["same names"]
    assert same["differing weights"] == []
    assert same["same rows"]
    assert found["checkpoints left"] == []


@pytest.mark.parametrize("model", MODELS)
def test_same_start_gives_the_same_losses(gathered, model):
    losses = {name: gathered[name].found["start"][f"{model} sgd"] for name in FRAMEWORKS}
    agreement = same_start.compare(losses)
    assert len(agreement.differences) == 50
    assert agreement.tolerance == 1e-5
    assert agreement.agrees, agreement.worst
    # Three constant curves would agree too.
    assert losses["torch"][-1] < 0.9 * losses["torch"][0]


@pytest.mark.parametrize("model", MODELS)
def test_hand_written_adam_follows_the_libraries(gathered, model):
    """Each library places epsilon in its own way, and Adam divides by tiny gradients: hence the tolerance."""
    losses = {name: gathered[name].found["start"][f"{model} adam"] for name in FRAMEWORKS}
    assert same_start.compare(losses, tolerance=2e-3).agrees
    assert losses["tensorflow"] != gathered["tensorflow"].found["start"][f"{model} sgd"][:20]


def test_keras_fit_and_custom_loop_train_alike(gathered):
    rows = gathered["keras"].found["only"]["rows"]
    for fit, custom in zip(rows["fit"], rows["custom"], strict=True):
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
            assert fit[name] == pytest.approx(custom[name], rel=1e-5)


def test_torch_leaves_the_random_state_alone(gathered):
    assert gathered["torch"].found["only"] == {"random state kept": True}


def test_tensorflow_layers_by_hand(gathered):
    found = gathered["tensorflow"].found["only"]
    # After gradients of 2, inf, nan and 2: parameter, scale, good steps in a row.
    assert found["scale"] == [[0.0, 32768.0, 1], [0.0, 16384.0, 0], [0.0, 8192.0, 0], [-1.0, 8192.0, 1]]
    assert found["grown"] == 16384.0
    assert found["dropped share"] == pytest.approx(0.25, abs=0.01)
    assert found["kept value"] == pytest.approx(4 / 3)
    assert set(found["variables"]) == {"tensorflow"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_divergence_is_an_error_and_leaves_nothing(gathered, framework):
    found = gathered[framework].found["failures"]
    assert found["diverged"] == (
        "BadInput: learning rate 1e+30: the training diverged: the loss of epoch 1 is no finite number\n"
        "  Lower the learning rate."
    )
    assert found["left"] == []


MISSING = {
    "torch": ("this PyTorch is built without CUDA", "no NVIDIA GPU with a working driver is visible"),
    "keras": (
        "TensorFlow sees no NVIDIA GPU, or a CUDA library of it cannot be loaded",
        "this TensorFlow is built without CUDA",
    ),
}
MISSING["tensorflow"] = MISSING["keras"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_missing_cuda_is_named(gathered, framework):
    message = gathered[framework].found["failures"]["no cuda"]
    assert message.startswith(tuple(f"DeviceMissing: --device cuda: {found} (" for found in MISSING[framework]))
    assert message.endswith(")\n  Train with --device cpu, or run `toolkit doctor`.")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_torch_and_tensorflow_never_share_a_process(gathered, framework):
    modules = set(gathered[framework].found["modules"])
    assert ("torch" in modules, "tensorflow" in modules) == (framework == "torch", framework != "torch")


def test_history(gathered):
    folder = gathered["torch"].folder / "feedforward"
    history = json.loads((folder / "history.json").read_text())
    assert [row["epoch"] for row in history["epochs"]] == list(range(1, 21))
    first, last = history["epochs"][0], history["epochs"][-1]
    assert last["loss"] < first["loss"]
    assert last["validation_accuracy"] > first["validation_accuracy"]
    assert all(row["items_per_second"] > 0 and row["seconds"] > 0 for row in history["epochs"])
    assert history["options"]["framework"] == "torch"
    assert history["test"]["accuracy"] == artifacts.load(folder).facts["accuracy"]
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")

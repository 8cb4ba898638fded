"""The shared loop with a learner that is three numbers: early stop, checkpoints, resume, progress."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toolkit.errors import BadInput, NotWritable
from trainers import loop, training
from trainers.checkpoint import Checkpoint
from trainers.data import Part
from trainers.loop import Piece, Score
from trainers.options import TrainOptions

ITEMS = loop.Items(
    Part(np.zeros((40, 784), np.float32), np.zeros(40, np.int64)),
    Part(np.zeros((4, 784), np.float32), np.zeros(4, np.int64)),
    0.0,
)
OPTIONS = TrainOptions("torch", "fashion", "unused", epochs=6, batch_size=8, checkpoint_seconds=0)


class Fake:
    """Its weight is the number of the epoch, its slot adds up the orders it was given; losses are as told."""

    factory = "nowhere:nothing"

    def __init__(self, validation: list[float], training_loss: float = 1.0) -> None:
        self.validation, self.training_loss = validation, training_loss
        self.weight, self.slot = 0, 0

    def set_items(self, x) -> None:
        self.x = x

    def begin_epoch(self, order, seed) -> None:
        self.slot += int(order[0]) + seed

    def train(self, bounds, told) -> None:
        self.weight += 1
        for start, stop in bounds:
            told(Piece(stop - start, (stop - start) * self.training_loss, 0))

    def evaluate(self, part) -> Score:
        return Score(self.validation[self.weight - 1], 0.5)

    def state(self):
        return {"model/weight": np.array(self.weight), "slot": np.array(self.slot)}

    def restore(self, state) -> None:
        self.weight, self.slot = int(state["model/weight"]), int(state["slot"])

    def weights_only(self, state):
        return {"model/weight": state["model/weight"]}


def fit(learner, options, tmp_path, report=lambda _: None) -> loop.History:
    return loop.fit(learner, ITEMS, options, Checkpoint(tmp_path / "run"), report)


FALLING = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]


def test_all_epochs(tmp_path):
    learner = Fake(FALLING)
    history = fit(learner, OPTIONS, tmp_path)
    assert [row.validation_loss for row in history.epochs] == FALLING
    assert (learner.weight, history.best, history.stopped_early) == (6, None, False)


STOPS = [
    # validation losses, patience, epochs run, epoch whose weights are kept, stopped early
    ([0.9, 0.5, 0.6, 0.7, 0.4, 0.3], 2, 4, 2, True),
    ([0.9, 0.5, 0.6, 0.4, 0.5, 0.6], 2, 6, 4, False),
    ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], 3, 4, 1, True),  # the first of equals
    (FALLING, 1, 6, 6, False),
]


@pytest.mark.parametrize(("losses", "patience", "ran", "kept", "early"), STOPS)
def test_early_stop(tmp_path, losses, patience, ran, kept, early):
    learner = Fake(losses)
    history = fit(learner, replace(OPTIONS, early_stop=patience), tmp_path)
    assert (len(history.epochs), history.best, history.stopped_early) == (ran, kept, early)
    assert learner.weight == kept


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize(("losses", "patience", "ran", "kept", "early"), STOPS)
def test_resume_is_exact(tmp_path, after, losses, patience, ran, kept, early):
    """Stopped in the epoch after `after`, with and without the best epoch behind it."""
    options = replace(OPTIONS, early_stop=patience)
    whole = Fake(losses)
    expected = fit(whole, options, tmp_path / "whole")

    def stop(fields) -> None:
        if fields["stage"] == "train" and fields["epoch"] == after + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Fake(losses), options, tmp_path, stop)
    learner, events = Fake(losses), []
    found = fit(learner, replace(options, resume=True), tmp_path, events.append)
    assert events[0] == {"stage": "resume", "epoch": after, "epochs": 6}
    assert (learner.weight, learner.slot) == (whole.weight, whole.slot)
    assert [row.loss for row in found.epochs] == [row.loss for row in expected.epochs]
    assert (found.best, found.stopped_early) == (expected.best, expected.stopped_early)


def test_resume_with_nothing_to_resume(tmp_path):
    events = []
    history = fit(Fake(FALLING), replace(OPTIONS, resume=True), tmp_path, events.append)
    assert events[0] == {"stage": "resume", "epoch": 0, "epochs": 6}
    assert len(history.epochs) == 6


def test_resume_may_go_further(tmp_path):
    fit(Fake(FALLING), replace(OPTIONS, epochs=2), tmp_path)
    learner = Fake(FALLING)
    assert len(fit(learner, replace(OPTIONS, resume=True), tmp_path).epochs) == 6
    assert learner.weight == 6


def test_without_resume_it_starts_over(tmp_path):
    fit(Fake(FALLING), OPTIONS, tmp_path)
    learner = Fake(FALLING)
    fit(learner, OPTIONS, tmp_path)
    assert learner.weight == 6


def test_checkpoints_keep_their_distance(tmp_path):
    fit(Fake(FALLING), replace(OPTIONS, checkpoint_seconds=1000), tmp_path)
    assert not (tmp_path / "run.checkpoint.npz").exists()


def test_other_options_do_not_resume(tmp_path):
    fit(Fake(FALLING), OPTIONS, tmp_path)
    with pytest.raises(BadInput) as caught:
        fit(Fake(FALLING), replace(OPTIONS, resume=True, batch_size=4), tmp_path)
    assert str(caught.value) == (
        f"BadInput: {tmp_path}/run.checkpoint.npz: the interrupted run had batch_size 8, this one has 4\n"
        "  Give the same options, or train again without --resume."
    )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all"])
def test_damaged_checkpoint(tmp_path, content):
    (tmp_path / "run.checkpoint.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"run\.checkpoint\.npz: the checkpoint is damaged \("):
        fit(Fake(FALLING), replace(OPTIONS, resume=True), tmp_path)


def test_truncated_checkpoint(tmp_path):
    fit(Fake(FALLING), OPTIONS, tmp_path)
    path = tmp_path / "run.checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadInput, match="the checkpoint is damaged"):
        fit(Fake(FALLING), replace(OPTIONS, resume=True), tmp_path)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["training", "validation"])
def test_divergence(tmp_path, loss, where):
    learner = Fake([loss] * 6) if where == "validation" else Fake(FALLING, loss)
    with pytest.raises(BadInput, match="the training diverged: the loss of epoch 1 is no finite number"):
        fit(learner, OPTIONS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_progress(tmp_path):
    events = []
    fit(Fake(FALLING), replace(OPTIONS, epochs=2), tmp_path, events.append)
    first = events[0]
    assert first.pop("items_per_second") > 0
    assert first == {
        "stage": "train", "epoch": 1, "epochs": 2, "done": 40, "total": 40, "loss": 1.0, "accuracy": 0.0,
    }  # fmt: skip
    assert events[1] == {"stage": "validate", "epoch": 1, "epochs": 2, "loss": 0.9, "accuracy": 0.5}
    assert [event["stage"] for event in events] == ["train", "validate"] * 2


def test_augmentation_differs_by_epoch_and_comes_back(tmp_path):
    items = replace(ITEMS, train=Part(np.random.default_rng(0).random((40, 784), np.float32), ITEMS.train.labels))
    seen = [loop._augmented(items, replace(OPTIONS, augment=3), epoch) for epoch in (1, 2, 1)]
    assert seen[0].shape == (40, 784)
    assert not np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[0], seen[2])


def test_pace_covers_every_batch_once():
    bounds = loop.batches(1000, 3)
    assert [bound for chunk in loop.Pace().chunks(bounds) for bound in chunk] == bounds


def test_piece_weighs_steps_by_their_items():
    piece = Piece.of_steps([(0, 4), (4, 6)], np.array([1.0, 4.0], np.float32), 3)
    assert piece == Piece(6, 12.0, 3, (1.0, 4.0))


def test_only_a_training_run_is_replaced(tmp_path):
    (tmp_path / "empty").mkdir()
    training.require_ours(tmp_path / "empty")
    training.require_ours(tmp_path / "absent")
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter").write_text("")
    with pytest.raises(NotWritable) as caught:
        training.require_ours(folder)
    assert str(caught.value) == (
        f"NotWritable: {folder}: the folder holds something else than a training run\n  Choose a new folder with -o."
    )
    with pytest.raises(NotWritable, match="it is a file"):
        training.require_ours(folder / "chapter")

"""The embedded digits, preparation, augmentation, and the batches that all frameworks share."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.contract import Preprocessing
from trainers import data, loop
from trainers.architectures import ARCHITECTURES, initial_weights
from trainers.data import Part, digits


def test_digits_are_scikit_learns():
    reference = pytest.importorskip("sklearn.datasets").load_digits()
    with np.load(digits.EMBEDDED) as file:
        assert (file["images"] == reference.images).all()
        assert (file["labels"] == reference.target).all()


def test_digits_are_brought_to_mnists_form():
    images = data.load("digits")
    assert (images.train.x.shape, images.test.x.shape) == ((1437, 28, 28), (360, 28, 28))
    assert images.train.x.dtype == np.uint8
    assert images.train.x.max() == 255
    margins = images.train.x.copy()
    margins[:, 4:24, 4:24] = 0
    assert not margins.any()
    assert set(images.test.labels) == set(range(10))
    scaled = images.train.x / 255
    assert (images.mean, images.std) == (round(scaled.mean(), 4), round(scaled.std(), 4))


def test_enlargement_keeps_corners_and_lines():
    matrix = digits._enlargement(8, 20)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(20))
    ramp = matrix @ np.arange(8.0)
    assert (ramp[0], ramp[-1]) == (0, 7)
    assert np.diff(ramp[1:-1]) == pytest.approx(np.full(17, 0.4))


def test_prepare():
    images = np.array([[[0, 255], [51, 102]]], np.uint8)
    contract = Preprocessing("x", size=(2, 2), mean=(0.5,), std=(0.25,), shape=(4,))
    prepared = data.prepare(images, contract)
    assert prepared.dtype == np.float32
    assert prepared == pytest.approx(np.array([[-2, 2, -1.2, -0.4]]))
    assert data.background(contract) == -2


def test_shift_moves_whole_images():
    """Each result is one of the 25 possible moves of its image, and all 25 occur."""
    image = np.arange(1, 28 * 28 + 1, dtype=np.float32).reshape(1, 28, 28)
    moved = data.shift(np.repeat(image, 500, 0), 2, -1.0, np.random.default_rng(0))
    moves = {}
    for down in range(-2, 3):
        for right in range(-2, 3):
            expected = np.full((28, 28), -1.0, np.float32)
            rows, columns = slice(max(down, 0), 28 + min(down, 0)), slice(max(right, 0), 28 + min(right, 0))
            from_rows, from_columns = (
                slice(max(-down, 0), 28 + min(-down, 0)),
                slice(max(-right, 0), 28 + min(-right, 0)),
            )
            expected[rows, columns] = image[0, from_rows, from_columns]
            moves[expected.tobytes()] = (down, right)
    assert {moves[item.tobytes()] for item in moved} == set(moves.values())


def test_shift_of_nothing():
    images = np.random.default_rng(0).random((5, 28, 28), np.float32)
    assert (data.shift(images, 0, 0.0, np.random.default_rng(1)) == images).all()


BATCHES = [
    (10, 4, [(0, 4), (4, 8), (8, 10)]),
    (9, 4, [(0, 4), (4, 9)]),  # a lone last item joins the batch before it
    (8, 4, [(0, 4), (4, 8)]),
    (3, 4, [(0, 3)]),
    (1, 4, [(0, 1)]),
]


@pytest.mark.parametrize(("count", "size", "bounds"), BATCHES)
def test_batches(count, size, bounds):
    assert loop.batches(count, size) == bounds


def test_order_depends_on_seed_and_epoch_alone():
    first = loop.order_of(3, 100, seed=5)
    assert sorted(first) == list(range(100))
    assert (first == loop.order_of(3, 100, seed=5)).all()
    assert not (first == loop.order_of(4, 100, seed=5)).all()
    assert not (first == loop.order_of(3, 100, seed=6)).all()


def test_split():
    part = Part(np.arange(50), np.arange(50))
    train, held = loop.split(part, 0.2, seed=1)
    assert (len(train), len(held)) == (40, 10)
    assert sorted([*train.labels, *held.labels]) == list(range(50))
    assert loop.split(part, 0.0, seed=1)[1] is None
    assert loop.split(part, 0.001, seed=1)[1] is None


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_initial_weights(name):
    architecture = ARCHITECTURES[name]
    weights = initial_weights(architecture, 3)
    assert {key: value.shape for key, value in weights.items()} == architecture.parameters
    assert all(value.dtype == np.float32 for value in weights.values())
    limit = np.sqrt(6 / sum(weights["fc1.kernel"].shape))
    assert 0.99 * limit < np.abs(weights["fc1.kernel"]).max() <= limit
    assert not weights["fc1.bias"].any()
    assert not np.array_equal(weights["fc1.kernel"], initial_weights(architecture, 4)["fc1.kernel"])

"""Files that Keras 2 wrote: `save` needs the package tf_keras, which is Keras 2 beside Keras 3."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tf_keras


def simple() -> Any:
    tf_keras.utils.set_random_seed(0)
    x = tf_keras.Input((4,), name="x")
    hidden = tf_keras.layers.Dense(8, activation="relu")(x)
    return tf_keras.Model(x, tf_keras.layers.Dense(3, activation="softmax", name="scores")(hidden))


def depthwise() -> Any:
    """Layers whose saved form Keras 3 no longer reads: a depthwise convolution, an LSTM, and a model in a model."""
    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    image = tf_keras.Input((16, 8, 3), name="image")
    inner = tf_keras.Sequential([layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization()])
    x = layers.Reshape((16, 24))(inner(image))
    return tf_keras.Model(image, layers.Dense(5, name="scores")(layers.LSTM(6)(x)))


def save(folder: Path) -> None:
    simple().save(folder / "keras2_simple.h5")
    depthwise().save(folder / "keras2_depthwise.h5")
    depthwise().save(folder / "keras2_depthwise.keras")
    depthwise().save(folder / "keras2_savedmodel")


if __name__ == "__main__":
    save(Path(sys.argv[1]))

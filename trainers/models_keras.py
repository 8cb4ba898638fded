"""The two models as subclassed `keras.Model`s. `feedforward()` and `fashion()` return an untrained, built model.

Importing this module registers both classes, so that `keras.models.load_model` reads their .keras files.
"""

from __future__ import annotations

from typing import Any, TypeVar

import keras
from keras import layers

from trainers.architectures import (
    ARCHITECTURES,
    BATCH_NORM_DECAY,
    BATCH_NORM_EPSILON,
    CLASSES,
    DROPOUT,
    Weights,
)

PACKAGE = "model-toolkit"


@keras.saving.register_keras_serializable(package=PACKAGE)
class FeedForward(keras.Model):  # type: ignore[misc]  # Keras has no types
    """(batch, 784) -> probabilities (batch, 10), one independent sigmoid per class."""

    def __init__(
        self, inputs: int = 784, hidden: int = 256, outputs: int = CLASSES, dropout: float = DROPOUT, **common: Any
    ) -> None:
        super().__init__(**common)
        self.sizes = {"inputs": inputs, "hidden": hidden, "outputs": outputs, "dropout": dropout}
        dtype = self.dtype_policy
        self.fc1 = layers.Dense(hidden, dtype=dtype, name="fc1")
        self.bn1 = layers.BatchNormalization(
            epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_DECAY, dtype=dtype, name="bn1"
        )
        self.relu = layers.ReLU(dtype=dtype, name="relu")
        self.dropout = layers.Dropout(dropout, dtype=dtype, name="dropout")
        self.fc2 = layers.Dense(outputs, dtype=dtype, name="fc2")
        self.activation = layers.Activation("sigmoid", dtype=dtype, name="activation")

    def logits(self, x: Any, training: bool | None = None) -> Any:
        """(batch, 784) -> (batch, 10), before the sigmoid: what the loss is computed on."""
        x = self.relu(self.bn1(self.fc1(x), training=training))
        return self.fc2(self.dropout(x, training=training))

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.activation(self.logits(x, training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.sizes}


@keras.saving.register_keras_serializable(package=PACKAGE)
class Fashion(keras.Model):  # type: ignore[misc]  # Keras has no types
    """(batch, 28, 28) -> logits (batch, 10)."""

    def __init__(self, hidden: int = 20, outputs: int = CLASSES, **common: Any) -> None:
        super().__init__(**common)
        self.sizes = {"hidden": hidden, "outputs": outputs}
        dtype = self.dtype_policy
        self.flatten = layers.Flatten(dtype=dtype, name="flatten")
        self.fc1 = layers.Dense(hidden, activation="relu", dtype=dtype, name="fc1")
        self.fc2 = layers.Dense(outputs, dtype=dtype, name="fc2")

    def logits(self, x: Any, training: bool | None = None) -> Any:  # noqa: ARG002  # nothing here differs in training
        """(batch, 28, 28) -> (batch, 10)."""
        return self.fc2(self.fc1(self.flatten(x)))

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.logits(x, training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.sizes}


Model = FeedForward | Fashion
_Built = TypeVar("_Built", bound=keras.Model)


def feedforward(dropout: float = DROPOUT, dtype: Any = None) -> FeedForward:
    """784-256-10 with batch normalisation, ReLU and dropout. `dtype` is a Keras policy, such as "mixed_bfloat16"."""
    return _built(FeedForward(dropout=dropout, dtype=dtype, name="feedforward"))


def fashion(dtype: Any = None) -> Fashion:
    """Flatten, 784-20-10 with ReLU. `dtype` is a Keras policy, such as "mixed_bfloat16"."""
    return _built(Fashion(dtype=dtype, name="fashion"))


def _built(model: _Built) -> _Built:
    # Called once on a symbolic input: `build` alone leaves a subclassed model's layers unbuilt.
    model(keras.Input(ARCHITECTURES[model.name].shape, name="x"))
    return model


def functional(model: Model, *, logits: bool = False) -> Any:
    """A functional model of `model`'s own layers, weights shared: built-in layers alone, which Keras saves as .h5.

    With `logits` it ends before the activation: that is the form that is trained.
    """
    x = keras.Input(ARCHITECTURES[model.name].shape, name="x")
    return keras.Model(x, model.logits(x) if logits else model.call(x), name=model.name)


_ROLES = {
    "kernel": "kernel",
    "bias": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "mean": "moving_mean",
    "variance": "moving_variance",
}


def set_weights(model: Model, weights: Weights) -> None:
    """Copy the common weights into `model`."""
    for name, value in weights.items():
        layer, role = name.split(".")
        getattr(getattr(model, layer), _ROLES[role]).assign(value)

"""The two models in low-level TensorFlow: raw variables, hand-written layers, no Keras.

`feedforward()` and `fashion()` return an untrained model.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainers.architectures import (
    ARCHITECTURES,
    BATCH_NORM_DECAY,
    BATCH_NORM_EPSILON,
    DROPOUT,
    Architecture,
    Weights,
    initial_weights,
)

_NOT_TRAINED = ("mean", "variance")  # moving averages, updated by hand


class _Model(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Parameters under their common names, as raw variables."""

    def __init__(self, architecture: Architecture, seed: int) -> None:
        super().__init__(name=architecture.name)
        self.parameters = {
            name: tf.Variable(value, trainable=not name.endswith(_NOT_TRAINED), name=name.replace(".", "_"))
            for name, value in initial_weights(architecture, seed).items()
        }

    def dense(self, layer: str, x: Any) -> Any:
        """(batch, inputs) -> (batch, outputs), in the dtype of `x`."""
        kernel, bias = (tf.cast(self.parameters[f"{layer}.{role}"], x.dtype) for role in ("kernel", "bias"))
        return tf.matmul(x, kernel) + bias


class FeedForward(_Model):
    """(batch, 784) -> probabilities (batch, 10), one independent sigmoid per class."""

    def __init__(self, dropout: float = DROPOUT, seed: int = 0) -> None:
        super().__init__(ARCHITECTURES["feedforward"], seed)
        self.dropout = dropout

    def logits(self, x: Any, training: bool = False, dropout_seed: Any = None) -> Any:
        """(batch, 784) -> (batch, 10), before the sigmoid: what the loss is computed on.

        Training wants `dropout_seed`, two integers that no other step shares.
        """
        x = tf.nn.relu(self._batch_norm(self.dense("fc1", x), training))
        if training and self.dropout:
            x = _dropped(x, self.dropout, dropout_seed)
        return self.dense("fc2", x)

    def _batch_norm(self, x: Any, training: bool) -> Any:
        """Ioffe and Szegedy 2015, in float32 whatever the dtype of `x`: its variance does not fit fewer bits."""
        wide = tf.cast(x, tf.float32)
        moving = [self.parameters["bn1.mean"], self.parameters["bn1.variance"]]
        if training:
            mean, variance = tf.nn.moments(wide, axes=[0])
            for average, now in zip(moving, (mean, variance), strict=True):
                average.assign(average * BATCH_NORM_DECAY + now * (1 - BATCH_NORM_DECAY))
        else:
            mean, variance = moving
        scale = tf.math.rsqrt(variance + BATCH_NORM_EPSILON) * self.parameters["bn1.gamma"]
        return tf.cast((wide - mean) * scale + self.parameters["bn1.beta"], x.dtype)

    def __call__(self, x: Any) -> Any:
        return tf.nn.sigmoid(self.logits(x))


class Fashion(_Model):
    """(batch, 28, 28) -> logits (batch, 10)."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(ARCHITECTURES["fashion"], seed)

    def logits(self, x: Any, training: bool = False, dropout_seed: Any = None) -> Any:  # noqa: ARG002  # no dropout
        """(batch, 28, 28) -> (batch, 10)."""
        x = tf.reshape(x, [-1, 784])
        return self.dense("fc2", tf.nn.relu(self.dense("fc1", x)))

    def __call__(self, x: Any) -> Any:
        return self.logits(x)


def _dropped(x: Any, rate: float, seed: Any) -> Any:
    """Zero a share `rate` of the values and scale the rest, so that the expectation stays (Srivastava et al. 2014)."""
    kept = tf.random.stateless_uniform(tf.shape(x), seed) >= rate
    return tf.where(kept, x / tf.cast(1 - rate, x.dtype), tf.zeros_like(x))


Model = FeedForward | Fashion


def feedforward(dropout: float = DROPOUT, seed: int = 0) -> FeedForward:
    """784-256-10 with batch normalisation, ReLU and dropout; Glorot initialisation from `seed`."""
    return FeedForward(dropout, seed)


def fashion(seed: int = 0) -> Fashion:
    """Flatten, 784-20-10 with ReLU; Glorot initialisation from `seed`."""
    return Fashion(seed)


def set_weights(model: Model, weights: Weights) -> None:
    """Copy the common weights into `model`."""
    for name, value in weights.items():
        model.parameters[name].assign(value)

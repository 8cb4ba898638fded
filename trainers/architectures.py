"""The two models as data: inputs, outputs, loss, parameters. What the three frameworks' classes have in common.

Knows no framework (numpy only).

    feedforward   784 -> Linear 256 -> BatchNorm -> ReLU -> Dropout 0.5 -> Linear 10 -> sigmoid
    fashion       28x28 -> Flatten -> Linear 20 -> ReLU -> Linear 10, logits

Parameters go by one set of names and one layout everywhere: a kernel is (inputs, outputs), as Keras and TensorFlow
hold it; PyTorch's are its transposes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.contract import Contract, Preprocessing
from toolkit.signature import BATCH, Signature, TensorSpec
from trainers.data import Images

CLASSES = 10
DROPOUT = 0.5
# PyTorch's values, in every framework: Keras' own (1e-3, 0.99) are another model.
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_DECAY = 0.9  # the share that a moving average keeps at each step; PyTorch calls 0.1 the momentum

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Architecture:
    """One model: `shape` of an item, `output` name, what its values are, and the shape of every parameter.

    `activation` "sigmoid" is trained with binary cross-entropy on one-hot labels, "logits" with softmax cross-entropy;
    both are computed on the values before the activation.
    """

    name: str
    shape: tuple[int, ...]
    output: str
    activation: str
    normalise: bool  # by the data set's mean and deviation, or only divided by 255: each as in its article
    parameters: dict[str, tuple[int, ...]]

    @property
    def signature(self) -> Signature:
        return Signature(
            (TensorSpec("x", "float32", (BATCH, *self.shape)),),
            (TensorSpec(self.output, "float32", (BATCH, CLASSES)),),
        )

    def contract(self, images: Images, shift: int) -> Contract:
        """What an app must know: `shift` is the training's augmentation in pixels, 0 for none."""
        mean, std = (images.mean, images.std) if self.normalise else (0.0, 1.0)
        return Contract(
            Preprocessing(input="x", mean=(mean,), std=(std,), shape=self.shape),
            images.labels,
            scores=self.output,
            activation=self.activation,
            augmentation={"shift": shift} if shift else {},
        )


ARCHITECTURES = {
    "feedforward": Architecture(
        "feedforward",
        (784,),
        "probabilities",
        "sigmoid",
        True,
        {
            "fc1.kernel": (784, 256),
            "fc1.bias": (256,),
            "bn1.gamma": (256,),
            "bn1.beta": (256,),
            "bn1.mean": (256,),
            "bn1.variance": (256,),
            "fc2.kernel": (256, 10),
            "fc2.bias": (10,),
        },
    ),
    "fashion": Architecture(
        "fashion",
        (28, 28),
        "logits",
        "logits",
        False,
        {"fc1.kernel": (784, 20), "fc1.bias": (20,), "fc2.kernel": (20, 10), "fc2.bias": (10,)},
    ),
}

_ONES = {"gamma", "variance"}


def initial_weights(architecture: Architecture, seed: int) -> Weights:
    """Glorot-uniform kernels (Glorot and Bengio 2010), unit scales and variances, zeros elsewhere; fixed by `seed`."""
    generator = np.random.default_rng([seed, len(architecture.parameters)])
    weights: Weights = {}
    for name, shape in architecture.parameters.items():
        role = name.rpartition(".")[2]
        if role == "kernel":
            limit = np.sqrt(6 / sum(shape))
            weights[name] = generator.uniform(-limit, limit, shape).astype(np.float32)
        else:
            weights[name] = np.full(shape, 1.0 if role in _ONES else 0.0, np.float32)
    return weights

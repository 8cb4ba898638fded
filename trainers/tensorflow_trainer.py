"""The low-level TensorFlow trainer: raw variables, GradientTape, hand-written Adam and SGD, many steps per call.

No Keras: what a layer, an optimizer or a loss scaler does is written out here and in `trainers.models_tensorflow`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from toolkit.artifact import Artifact
from trainers import factories, loop, models_tensorflow, tensorflow_device, training
from trainers import same_start as shared
from trainers.architectures import ARCHITECTURES, CLASSES, Architecture, initial_weights
from trainers.checkpoint import State
from trainers.data import Part
from trainers.loop import Bounds, Piece, Report, Score
from trainers.models_tensorflow import Model
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EVALUATION_BATCH = 1024
_AMP_DTYPES = {"cuda": tf.float16, "cpu": tf.bfloat16}


def train(options: TrainOptions, report: Report = lambda _: None) -> Artifact:
    """Train a model as `options` say and write its folder: saved_model, checkpoint, history, test set.

    Raises as `trainers.training.run` does.
    """
    with tensorflow_device.scope(options.device):
        return training.run(options, report, TensorFlowLearner, _save)


def same_start(options: TrainOptions, steps: int | None, report: Report = lambda _: None) -> list[float]:
    """Losses step by step from the weights that the frameworks share; see `trainers.same_start`."""
    with tensorflow_device.scope(options.device):
        return shared.losses(options, steps, TensorFlowLearner, report)


def load(artifact: Artifact) -> Model:
    """The trained model, from its checkpoint."""
    model: Model = factories.build(artifact, models_tensorflow)
    tf.train.Checkpoint(model=model).read(str(artifact.file("weights") / "weights")).assert_consumed()
    return model


def evaluate(model: Model, part: Part) -> Score:
    """Mean loss per item and accuracy over `part`, whose x is what the model takes: float32 (count, *shape)."""
    loss_sum, correct = 0.0, 0
    for start in range(0, len(part), _EVALUATION_BATCH):
        batch = part[start : start + _EVALUATION_BATCH]
        labels = tf.constant(batch.labels)
        logits = model.logits(tf.constant(batch.x))
        loss_sum += float(_LOSSES[model.name](labels, logits)) * len(batch)
        correct += int(tf.math.count_nonzero(tf.argmax(logits, 1) == labels))
    return Score(loss_sum / len(part), correct / len(part))


def predict(model: Model, x: NDArray[np.float32]) -> NDArray[np.int64]:
    """Class indices (count,) for inputs (count, *shape)."""
    indices: NDArray[np.int64] = tf.argmax(model(tf.constant(x)), 1).numpy()
    return indices


def _binary(labels: Any, logits: Any) -> Any:
    wanted = tf.one_hot(labels, CLASSES)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits))


def _categorical(labels: Any, logits: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


_LOSSES = {"feedforward": _binary, "fashion": _categorical}


class Sgd(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Plain gradient descent."""

    def __init__(self, parameters: Sequence[Any], rate: float) -> None:
        super().__init__(name="sgd")
        self.parameters, self.rate = list(parameters), rate
        self.state: list[Any] = []  # what a checkpoint keeps, besides the parameters

    def apply(self, gradients: Sequence[Any]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.assign_sub(self.rate * gradient)


class Adam(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Kingma and Ba 2015, algorithm 1, with its recommended constants."""

    BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Sequence[Any], rate: float) -> None:
        super().__init__(name="adam")
        self.parameters, self.rate = list(parameters), rate
        self.step = tf.Variable(0.0, trainable=False)
        self.means = [tf.Variable(tf.zeros_like(value), trainable=False) for value in self.parameters]
        self.squares = [tf.Variable(tf.zeros_like(value), trainable=False) for value in self.parameters]
        self.state = [self.step, *self.means, *self.squares]

    def apply(self, gradients: Sequence[Any]) -> None:
        step = self.step.assign_add(1.0)
        rate = self.rate / (1 - self.BETA_1**step)
        correction = 1 - self.BETA_2**step
        for parameter, mean, square, gradient in zip(self.parameters, self.means, self.squares, gradients, strict=True):
            mean.assign(self.BETA_1 * mean + (1 - self.BETA_1) * gradient)
            square.assign(self.BETA_2 * square + (1 - self.BETA_2) * tf.square(gradient))
            parameter.assign_sub(rate * mean / (tf.sqrt(square / correction) + self.EPSILON))


_OPTIMIZERS: dict[str, type[Adam | Sgd]] = {"adam": Adam, "sgd": Sgd}


class LossScale(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A loss scaled up so that small gradients survive float16; the scale follows what the gradients bear.

    Micikevicius et al. 2018: a step whose gradients overflow is skipped and halves the scale; `GROWTH` good steps in a
    row double it.
    """

    FIRST, GROWTH, LARGEST = 2.0**15, 2000, 2.0**24

    def __init__(self) -> None:
        super().__init__(name="loss_scale")
        self.scale = tf.Variable(self.FIRST, trainable=False)
        self.good_steps = tf.Variable(0, trainable=False)
        self.state = [self.scale, self.good_steps]

    def apply(self, scaled_gradients: Sequence[Any], optimizer: Sgd | Adam) -> None:
        """Hand the optimizer the gradients of the loss itself, unless one of them is not finite."""
        gradients = [gradient / self.scale for gradient in scaled_gradients]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
        tf.cond(finite, lambda: self._good(gradients, optimizer), self._bad)

    def _good(self, gradients: Sequence[Any], optimizer: Sgd | Adam) -> Any:
        optimizer.apply(gradients)
        grown = self.good_steps.assign_add(1) >= self.GROWTH
        self.scale.assign(tf.where(grown, tf.minimum(self.scale * 2, self.LARGEST), self.scale))
        self.good_steps.assign(tf.where(grown, 0, self.good_steps))
        return True

    def _bad(self) -> Any:
        self.scale.assign(tf.maximum(self.scale / 2, 1.0))
        self.good_steps.assign(0)
        return False


class TensorFlowLearner:
    """A low-level TensorFlow model in training. `loop.Learner` says what the methods do."""

    def __init__(self, options: TrainOptions, architecture: Architecture, items: Part) -> None:
        self.factory = factories.name_of(models_tensorflow, options.model)
        self.model: Model = factories.make(models_tensorflow, options)
        models_tensorflow.set_weights(self.model, initial_weights(architecture, options.seed))
        self.loss = _LOSSES[options.model]
        self.variables = list(self.model.trainable_variables)
        self.optimizer = _OPTIMIZERS[options.optimizer](self.variables, options.rate)
        self.dtype = _AMP_DTYPES[options.device] if options.amp else tf.float32
        self.scale = LossScale() if options.amp else None
        self.labels = tf.constant(items.labels)
        self.set_items(items.x)
        self.pace = loop.Pace()
        # Sizes are left open: a chunk of another length must not compile the steps anew.
        self.steps = tf.function(
            self._steps,
            input_signature=[
                tf.TensorSpec((None, *architecture.shape), tf.float32),
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((None, 2), tf.int64),
                tf.TensorSpec((), tf.int64),
            ],
        )

    def set_items(self, x: NDArray[np.float32]) -> None:
        self.x = tf.constant(x)

    def begin_epoch(self, order: NDArray[np.int64], seed: int) -> None:
        self.order, self.seed = tf.constant(order), tf.constant(seed, tf.int64)

    def train(self, bounds: Sequence[Bounds], told: Callable[[Piece], None]) -> None:
        for chunk in self.pace.chunks(bounds):
            losses, correct = self.steps(self.x, self.labels, self.order, tf.constant(chunk, tf.int64), self.seed)
            told(Piece.of_steps(chunk, losses.numpy(), int(correct)))

    def _steps(self, x: Any, labels: Any, order: Any, bounds: Any, seed: Any) -> tuple[Any, Any]:
        """Several steps in one call of a compiled function: Python is left alone until the chunk is done."""
        count = tf.shape(bounds)[0]
        losses, correct = tf.TensorArray(tf.float32, count), tf.constant(0, tf.int64)
        for step in tf.range(count):
            first = bounds[step, 0]
            chosen = order[first : bounds[step, 1]]
            # A batch's first position tells the steps of an epoch apart, however they are cut into chunks.
            loss, right = self._step(tf.gather(x, chosen), tf.gather(labels, chosen), tf.stack([seed, first]))
            losses, correct = losses.write(step, loss), correct + right
        return losses.stack(), correct

    def _step(self, x: Any, labels: Any, dropout_seed: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            logits = tf.cast(self.model.logits(tf.cast(x, self.dtype), True, dropout_seed), tf.float32)
            loss = self.loss(labels, logits)
            scaled = loss * self.scale.scale if self.scale else loss
        gradients = tape.gradient(scaled, self.variables)
        if self.scale:
            self.scale.apply(gradients, self.optimizer)
        else:
            self.optimizer.apply(gradients)
        return loss, tf.math.count_nonzero(tf.argmax(logits, 1) == labels)

    def evaluate(self, part: Part) -> Score:
        return evaluate(self.model, part)

    def state(self) -> State:
        # Copies: on the CPU `numpy()` may look into the variable's own memory, which training changes.
        return {name: np.array(variable.numpy()) for name, variable in self._variables().items()}

    def restore(self, state: State) -> None:
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def weights_only(self, state: State) -> State:
        return {name: value for name, value in state.items() if name.startswith("model/")}

    def _variables(self) -> dict[str, Any]:
        found = {f"model/{name}": value for name, value in self.model.parameters.items()}
        found |= {f"optimizer/{index}": value for index, value in enumerate(self.optimizer.state)}
        return found | ({f"scale/{index}": value for index, value in enumerate(self.scale.state)} if self.scale else {})


def _save(learner: TensorFlowLearner, folder: Path) -> dict[str, str]:
    """The files; a checkpoint is a folder of its own, since TensorFlow writes several files for one."""
    files = {"saved_model": "saved_model", "weights": "checkpoint"}
    model = learner.model
    architecture = ARCHITECTURES[model.name]
    tf.train.Checkpoint(model=model).write(str(folder / files["weights"] / "weights"))

    @tf.function(input_signature=[tf.TensorSpec((None, *architecture.shape), tf.float32, name="x")])  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def serve(x: Any) -> dict[str, Any]:
        return {architecture.output: model(x)}

    tf.saved_model.save(model, str(folder / files["saved_model"]), signatures={"serving_default": serve})
    return files

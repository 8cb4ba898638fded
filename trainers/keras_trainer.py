"""The Keras trainer: `fit`, or a custom loop of several steps per call; Keras' mixed-precision policies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from toolkit.artifact import Artifact
from trainers import factories, loop, models_keras, tensorflow_device, training
from trainers import same_start as shared
from trainers.architectures import ARCHITECTURES, CLASSES, Architecture, initial_weights
from trainers.checkpoint import State
from trainers.data import Part
from trainers.loop import Bounds, Piece, Report, Score
from trainers.models_keras import Model
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EVALUATION_BATCH = 1024
_FIT_STEPS = 16  # steps per call of the compiled function in `fit`

_OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    # The paper's epsilon, as PyTorch's: Keras' own is ten times as large.
    "adam": lambda rate: keras.optimizers.Adam(rate, epsilon=1e-8),
    "sgd": keras.optimizers.SGD,
}
_AMP_POLICIES = {"cuda": "mixed_float16", "cpu": "mixed_bfloat16"}


def train(options: TrainOptions, report: Report = lambda _: None) -> Artifact:
    """Train a model as `options` say and write its folder: model.weights.h5, model.keras, model.h5 (a functional form
    of the same layers, since Keras saves no subclassed model as .h5), saved_model, history, test set.

    Raises as `trainers.training.run` does.
    """
    with tensorflow_device.scope(options.device):
        return training.run(options, report, KerasLearner, _save)


def same_start(options: TrainOptions, steps: int | None, report: Report = lambda _: None) -> list[float]:
    """Losses step by step from the weights that the frameworks share; see `trainers.same_start`."""
    with tensorflow_device.scope(options.device):
        return shared.losses(options, steps, KerasLearner, report)


def load(artifact: Artifact) -> Model:
    """The trained model, from its weights."""
    model: Model = factories.build(artifact, models_keras)
    model.load_weights(artifact.file("weights"))
    return model


def evaluate(model: Model, part: Part) -> Score:
    """Mean loss per item and accuracy over `part`, whose x is what the model takes: float32 (count, *shape)."""
    return _evaluate(_compiled(model), _LOSSES[model.name], part)


def predict(model: Model, x: NDArray[np.float32]) -> NDArray[np.int64]:
    """Class indices (count,) for inputs (count, *shape)."""
    indices: NDArray[np.int64] = model.predict(x, batch_size=_EVALUATION_BATCH, verbose=0).argmax(1)
    return indices


def _evaluate(logits_of: Any, loss: Callable[[Any, Any], Any], part: Part) -> Score:
    loss_sum, correct = 0.0, 0
    for start in range(0, len(part), _EVALUATION_BATCH):
        batch = part[start : start + _EVALUATION_BATCH]
        logits = logits_of(tf.constant(batch.x))
        loss_sum += float(tf.reduce_sum(loss(tf.constant(batch.labels), logits)))
        correct += int((logits.numpy().argmax(1) == batch.labels).sum())
    return Score(loss_sum / len(part), correct / len(part))


def _compiled(model: Model) -> Callable[[Any], Any]:
    """The logits of a batch of any size, as one call."""
    inputs = tf.TensorSpec((None, *ARCHITECTURES[model.name].shape), tf.float32)
    logits: Callable[[Any], Any] = tf.function(lambda x: model.logits(x, training=False), input_signature=[inputs])
    return logits


def _binary(labels: Any, logits: Any) -> Any:
    """Mean over the classes, per item, against one-hot labels."""
    wanted = keras.ops.one_hot(labels, CLASSES)
    return keras.losses.binary_crossentropy(wanted, keras.ops.cast(logits, "float32"), from_logits=True)


def _categorical(labels: Any, logits: Any) -> Any:
    logits = keras.ops.cast(logits, "float32")
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


_LOSSES = {"feedforward": _binary, "fashion": _categorical}


class KerasLearner:
    """A Keras model in training. `loop.Learner` says what the methods do."""

    def __init__(self, options: TrainOptions, architecture: Architecture, items: Part) -> None:
        self.options = options
        self.factory = factories.name_of(models_keras, options.model)
        policy = _AMP_POLICIES[options.device] if options.amp else None
        self.model: Model = factories.make(models_keras, options, dtype=policy)
        models_keras.set_weights(self.model, initial_weights(architecture, options.seed))
        self.kept: Model = factories.make(models_keras, options) if options.amp else self.model
        self.logits = _compiled(self.kept)
        self.loss = _LOSSES[options.model]
        self.trained = models_keras.functional(self.model, logits=True)
        self.optimizer = _optimizer(options, policy)
        self.optimizer.build(self.trained.trainable_variables)
        if options.loop == "fit":
            self.trained.compile(
                self.optimizer, self.loss, metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
                steps_per_execution=_FIT_STEPS, auto_scale_loss=False, jit_compile=False,
            )  # fmt: skip
        # `fit` draws its batches from a tf.data pipeline, which lives on the host whatever the device.
        self.home = tf.device("/CPU:0") if options.loop == "fit" else contextlib.nullcontext()
        with self.home:
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
            ],
        )

    def set_items(self, x: NDArray[np.float32]) -> None:
        with self.home:
            self.x = tf.constant(x)

    def begin_epoch(self, order: NDArray[np.int64], seed: int) -> None:
        with self.home:
            self.order = tf.constant(order)
        for layer in self.trained.layers:
            if isinstance(layer, keras.layers.Dropout) and layer.rate:
                layer.seed_generator.state.assign([seed, 0])

    def train(self, bounds: Sequence[Bounds], told: Callable[[Piece], None]) -> None:
        (self._fit if self.options.loop == "fit" else self._custom)(bounds, told)

    def _fit(self, bounds: Sequence[Bounds], told: Callable[[Piece], None]) -> None:
        """One epoch of `fit` over ready batches; the order is ours, so `fit` shuffles nothing."""
        x, labels, order = self.x, self.labels, self.order

        def batch(bound: Any) -> tuple[Any, Any]:
            chosen = order[bound[0] : bound[1]]
            return tf.gather(x, chosen), tf.gather(labels, chosen)

        ready = tf.data.Dataset.from_tensor_slices(np.array(bounds)).map(batch).prefetch(2)
        ready = ready.apply(tf.data.experimental.assert_cardinality(len(bounds)))
        self.trained.fit(ready, epochs=1, shuffle=False, verbose=0, callbacks=[_Teller(bounds, told)])

    def _custom(self, bounds: Sequence[Bounds], told: Callable[[Piece], None]) -> None:
        for chunk in self.pace.chunks(bounds):
            losses, correct = self.steps(self.x, self.labels, self.order, tf.constant(chunk, tf.int64))
            told(Piece.of_steps(chunk, losses.numpy(), int(correct)))

    def _steps(self, x: Any, labels: Any, order: Any, bounds: Any) -> tuple[Any, Any]:
        count = tf.shape(bounds)[0]
        losses, correct = tf.TensorArray(tf.float32, count), tf.constant(0, tf.int64)
        for step in tf.range(count):
            chosen = order[bounds[step, 0] : bounds[step, 1]]
            loss, right = self._step(tf.gather(x, chosen), tf.gather(labels, chosen))
            losses, correct = losses.write(step, loss), correct + right
        return losses.stack(), correct

    def _step(self, x: Any, labels: Any) -> tuple[Any, Any]:
        variables = self.trained.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.trained(x, training=True)
            loss = tf.reduce_mean(self.loss(labels, logits))
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        self.optimizer.apply(gradients, variables)
        right = tf.math.count_nonzero(tf.argmax(logits, 1) == labels)
        return loss, right

    def evaluate(self, part: Part) -> Score:
        self.float32()
        return _evaluate(self.logits, self.loss, part)

    def float32(self) -> Model:
        """The model as it will be used: mixed policies keep float32 weights, and predictions are made in float32."""
        if self.kept is not self.model:
            self.kept.set_weights(self.model.get_weights())
        return self.kept

    def state(self) -> State:
        # Copies: on the CPU `numpy()` may look into the variable's own memory, which training changes.
        return {name: np.array(variable) for name, variable in self._variables().items()}

    def restore(self, state: State) -> None:
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def weights_only(self, state: State) -> State:
        return {name: value for name, value in state.items() if name.startswith("model/")}

    def _variables(self) -> dict[str, Any]:
        """By kind and position: Keras' own names are not unique."""
        kinds = {"model": self.model.weights, "optimizer": self.optimizer.variables}
        return {f"{kind}/{index}": value for kind, values in kinds.items() for index, value in enumerate(values)}


def _optimizer(options: TrainOptions, policy: str | None) -> Any:
    optimizer = _OPTIMIZERS[options.optimizer](options.rate)
    # float16 alone needs a scaled loss: bfloat16 has float32's range.
    return keras.optimizers.LossScaleOptimizer(optimizer) if policy == "mixed_float16" else optimizer


class _Teller(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Turns the running means that `fit` keeps into the sums of each piece."""

    def __init__(self, bounds: Sequence[Bounds], told: Callable[[Piece], None]) -> None:
        super().__init__()
        self.ends = [stop for _, stop in bounds]
        self.told = told
        self.seen, self.loss_sum, self.correct = 0, 0.0, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        items = self.ends[min(batch, len(self.ends) - 1)]
        loss_sum, correct = float(logs["loss"]) * items, round(float(logs["accuracy"]) * items)
        self.told(Piece(items - self.seen, loss_sum - self.loss_sum, correct - self.correct))
        self.seen, self.loss_sum, self.correct = items, loss_sum, correct


def _save(learner: KerasLearner, folder: Path) -> dict[str, str]:
    model = learner.float32()
    files = {
        "weights": "model.weights.h5",
        "model": "model.keras",
        "hdf5": "model.h5",
        "saved_model": "saved_model",
    }
    model.save_weights(folder / files["weights"])
    model.save(folder / files["model"])
    models_keras.functional(model).save(folder / files["hdf5"])
    _export(model, folder / files["saved_model"])
    return files


def _export(model: Model, folder: Path) -> None:
    """A SavedModel whose serving_default takes `x` and returns the architecture's named output, any batch size."""
    architecture = ARCHITECTURES[model.name]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda x: {architecture.output: model(x, training=False)},
        [tf.TensorSpec((None, *architecture.shape), tf.float32, name="x")],
    )
    archive.write_out(str(folder), verbose=False)

"""Keras models of every kind; `save` writes the files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras


def functional() -> Any:
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(0.5)(x))
    return keras.Model(image, keras.layers.Dense(5, activation="softmax", name="scores")(x))


def sequential() -> Any:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((6, 4)), keras.layers.LSTM(5, return_sequences=True), keras.layers.GRU(3)]
    return keras.Sequential(layers)


def unbuilt() -> Any:
    """A Sequential that was never called and names no input."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)])


class Plain(keras.Model):
    """Without get_config."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(8, activation="relu")
        self.out = keras.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.out(self.hidden(x))


def subclassed() -> Any:
    keras.utils.set_random_seed(0)
    return Plain()


@keras.saving.register_keras_serializable("matrix")
class Configured(keras.Model):
    """With get_config, registered."""

    def __init__(self, width: int = 8, **settings: Any) -> None:
        super().__init__(**settings)
        self.width = width
        self.hidden = keras.layers.Dense(width, activation="relu")
        self.out = keras.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.out(self.hidden(x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


def configured() -> Any:
    keras.utils.set_random_seed(0)
    return Configured()


class Dicts(keras.Model):
    """A dict of inputs and a dict of outputs, subclassed."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = keras.layers.Embedding(16, 8)
        self.out = keras.layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        found = self.embed(inputs["ids"]) * keras.ops.expand_dims(inputs["mask"], -1)
        total = keras.ops.sum(found, axis=1)
        return {"logits": self.out(total), "pooled": total}


def dicts() -> Any:
    keras.utils.set_random_seed(0)
    return Dicts()


def several() -> Any:
    """A dict of inputs and outputs, functional."""
    keras.utils.set_random_seed(0)
    inputs = {"ids": keras.Input((None,), dtype="int32", name="ids"), "weight": keras.Input((1,), name="weight")}
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(16, 8)(inputs["ids"])) * inputs["weight"]
    outputs = {"pooled": pooled, "logits": keras.layers.Dense(3)(pooled)}
    return keras.Model(inputs, outputs)


def mixed() -> Any:
    """Computes in float16 where Keras' policy says so."""
    keras.utils.set_random_seed(0)
    image = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", dtype="mixed_float16")(image)
    return keras.Model(image, keras.layers.Dense(3, dtype="float32")(hidden))


def strings() -> Any:
    """Text to integers: a lookup of words."""
    text = keras.Input((), dtype="string", name="text")
    lookup = keras.layers.StringLookup(vocabulary=["text", "word", "other"])
    return keras.Model(text, lookup(text))


def save(folder: Path) -> None:
    functional().save(folder / "functional.keras")
    functional().save(folder / "functional.h5")
    sequential().save(folder / "sequential.keras")
    functional().save_weights(folder / "functional.weights.h5")
    model = configured()
    model(keras.ops.zeros((2, 4)))
    model.save(folder / "configured.keras")
    model.save_weights(folder / "configured.weights.h5")
    compiled = functional()
    compiled.compile(loss="mse", optimizer="sgd")
    compiled.save(folder / "compiled.h5")


if __name__ == "__main__":
    save(Path(sys.argv[1]))

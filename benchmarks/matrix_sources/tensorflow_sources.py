"""Low-level TensorFlow models; `save` writes SavedModels of several origins, and a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tensorflow as tf


class Net(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.random.stateless_normal((3, 3, 3, 8), (1, 2)) / 5, name="kernel")
        self.weight = tf.Variable(tf.random.stateless_normal((8, 5), (3, 4)), name="weight")

    @tf.function(input_signature=[tf.TensorSpec([None, 16, 16, 3], tf.float32, name="image")])
    def __call__(self, image: Any) -> Any:
        hidden = tf.nn.relu(tf.nn.conv2d(image, self.kernel, 1, "SAME"))
        return {"scores": tf.nn.softmax(tf.reduce_mean(hidden, (1, 2)) @ self.weight)}


def build() -> tf.Module:
    return Net()


class Plain(tf.Module):
    """Without a tf.function or a signature of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(tf.random.stateless_normal((4, 3), (1, 2)))

    def __call__(self, x: Any) -> Any:
        return x @ self.weight, tf.reduce_sum(x, 1)


def plain() -> tf.Module:
    return Plain()


class Several(Net):
    """Two functions that a SavedModel serves by name, neither of them the default."""

    @tf.function(input_signature=[tf.TensorSpec([None, 16, 16, 3], tf.float32, name="image")])
    def embed(self, image: Any) -> Any:
        return {"features": tf.reduce_mean(tf.nn.conv2d(image, self.kernel, 1, "SAME"), (1, 2))}


class Text(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def __call__(self, text: Any) -> Any:
        return {"length": tf.strings.length(text)}


def strings() -> tf.Module:
    return Text()


def save(folder: Path) -> None:
    module = Several()
    served = {"classify": module.__call__, "embed": module.embed}
    tf.saved_model.save(module, str(folder / "two_signatures"), signatures=served)
    tf.saved_model.save(module, str(folder / "no_signatures"))
    tf.saved_model.save(module, str(folder / "default_signature"), signatures=module.__call__)
    tf.train.Checkpoint(model=module).write(str(folder / "written"))
    tf.train.Checkpoint(module).save(str(folder / "checkpoint" / "ckpt"))
    save_tf1(folder / "tf1")


def save_tf1(path: Path) -> None:
    """A graph and its variables as TensorFlow 1 wrote them."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, [None, 16, 16, 3], name="image")
        kernel = v1.get_variable("kernel", (3, 3, 3, 8), initializer=v1.random_normal_initializer(seed=1))
        weight = v1.get_variable("weight", (8, 5), initializer=v1.random_normal_initializer(seed=2))
        hidden = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME"))
        scores = tf.nn.softmax(tf.reduce_mean(hidden, (1, 2)) @ weight, name="scores")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(path), {"image": image}, {"scores": scores})


if __name__ == "__main__":
    save(Path(sys.argv[1]))

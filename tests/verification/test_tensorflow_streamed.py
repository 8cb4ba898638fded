"""Large TensorFlow models in float64, their weights cast one by one: the same numbers as with float64 weights."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def frozen():
    """A graph with a weight that is read once, one that is read twice, and one behind a transposition."""
    import tensorflow as tf

    from exporters.graph import tensorflow_graph
    from toolkit.runtime.savedmodel_runner import concrete_function
    from toolkit.signature import Signature, TensorSpec

    random = np.random.default_rng(0)
    once, twice, turned = (tf.Variable(random.standard_normal((128, 128)).astype(np.float32)) for _ in range(3))
    signature = Signature((TensorSpec("x", "float32", ("batch", 128)),), (TensorSpec("y", "float32", ("batch", 128)),))

    def call(feed):
        x = tf.nn.relu(feed["x"] @ once)
        x = tf.nn.relu(tf.nn.relu(x @ twice) @ twice)
        return {"y": x @ tf.transpose(turned)}

    function = concrete_function(tf, call, signature)
    return tensorflow_graph.freeze(function, signature), (once, twice, turned)


def test_weights_are_not_copied(frozen):
    graph, variables = frozen
    held = {array.__array_interface__["data"][0] for array in graph.weights.values()}
    assert held == {np.asarray(memoryview(v.read_value())).__array_interface__["data"][0] for v in variables}


def test_as_with_float64_weights(frozen, monkeypatch):
    from toolkit.verification import tensorflow_float64

    graph, variables = frozen
    inputs = {"x": np.random.default_rng(1).standard_normal((3, 128))}
    copied = tensorflow_float64.callable_of(graph)(inputs)["y"]
    monkeypatch.setattr(tensorflow_float64, "LARGE", 0)
    cast = tensorflow_float64.callable_of(graph)(inputs)["y"]
    once, twice, turned = (variable.numpy().astype(np.float64) for variable in variables)
    x = np.maximum(np.maximum(np.maximum(inputs["x"] @ once, 0) @ twice, 0) @ twice, 0) @ turned.T
    assert cast.dtype == np.float64
    for found in (copied, cast):
        np.testing.assert_allclose(found, x, rtol=1e-11, atol=1e-11 * np.abs(x).max())


def test_a_cast_waits_for_what_its_operator_reads_besides(frozen):
    from toolkit.verification import tensorflow_float64, tensorflow_streamed

    graph_def = tensorflow_float64.rewritten(frozen[0].graph_def)
    tensorflow_streamed.widen_late(graph_def, frozen[0].weights)
    casts = [node for node in graph_def.node if node.op == "Cast"]
    waiting = [node for node in casts if any(given.startswith("^") for given in node.input)]
    assert len(casts) == 3
    assert len(waiting) == 2  # the weight that two operators read waits for nothing

"""Keras' and TensorFlow's tables of words and numbers, as models of structured data have them: to ONNX and on."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from exporters.graph import words
from tests.conftest import COUNT
from toolkit import bundle
from toolkit.cli import invoke
from toolkit.errors import ExportFailed, UnsupportedOperator
from toolkit.verification import verifier

QUICK = {"count": COUNT, "latency": False}
pytestmark = pytest.mark.usefixtures("warm")

MODELS = """
import keras
import tensorflow as tf
from keras import layers


def build_structured():
    keras.utils.set_random_seed(0)
    job = keras.Input((1,), dtype="string", name="job")
    children = keras.Input((1,), dtype="int64", name="children")
    age = keras.Input((1,), name="age")
    hobbies = keras.Input((None,), dtype="string", name="hobbies")
    parts = [
        layers.StringLookup(vocabulary=["nurse", "cook", "pilot"], output_mode="one_hot")(job),
        layers.Flatten()(layers.Embedding(5, 3)(layers.IntegerLookup(vocabulary=[0, 2, 40, 7])(children))),
        layers.Normalization(mean=40.0, variance=90.0)(age),
        layers.StringLookup(vocabulary=["chess", "golf"], output_mode="multi_hot")(hobbies),
    ]
    hidden = layers.Dense(8, activation="relu")(layers.Concatenate()(parts))
    return keras.Model([job, children, age, hobbies], layers.Dense(1, activation="sigmoid")(hidden))


def build_numbers():
    keras.utils.set_random_seed(0)
    tags = keras.Input((None,), dtype="int64", name="tags")
    counts = layers.IntegerLookup(vocabulary=[3, 5, 7, -9], output_mode="count")(tags)
    return keras.Model(tags, layers.Dense(3)(counts))


def build_closed():
    word = keras.Input((1,), dtype="string", name="word")
    index = layers.StringLookup(vocabulary=["a", "b", "c"], num_oov_indices=0, mask_token="")(word)
    return keras.Model(word, layers.Flatten()(layers.Embedding(4, 3)(index)))


def build_text():
    text = keras.Input((), dtype="string", name="text")
    words = ["the", "cat", "dog", "sat", "mat"]
    index = layers.TextVectorization(output_sequence_length=6, vocabulary=words)(text)
    return keras.Model(text, layers.Dense(2)(layers.GlobalAveragePooling1D()(layers.Embedding(9, 4)(index))))


def build_named():
    x = keras.Input((4,), name="x")
    best = keras.ops.argmax(layers.Dense(2)(x), -1)
    return keras.Model(x, layers.StringLookup(vocabulary=["cat", "dog"], invert=True)(best))


def build_learned():
    # Keras keeps what these learn beside the configuration.
    keras.utils.set_random_seed(0)
    job, text = keras.Input((1,), dtype="string", name="job"), keras.Input((), dtype="string", name="text")
    lookup, words = layers.StringLookup(output_mode="one_hot"), layers.TextVectorization(output_mode="tf_idf")
    lookup.adapt(["nurse", "cook", "nurse", "pilot"])
    words.adapt(["the cat sat", "the dog ran", "a cat"])
    return keras.Model([job, text], layers.Dense(3)(layers.Concatenate()([lookup(job), words(text)])))


class Tables(tf.Module):
    def __init__(self):
        super().__init__()
        words = tf.lookup.KeyValueTensorInitializer(["x", "y", "z"], tf.constant([0.5, 1.5, -2.0]))
        numbers = tf.lookup.KeyValueTensorInitializer(tf.constant([4, 5, 900]), tf.constant([1, 2, 3]))
        self.words, self.numbers = tf.lookup.StaticHashTable(words, 7.0), tf.lookup.StaticHashTable(numbers, -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "s"), tf.TensorSpec([None], tf.int32, "n")])
    def __call__(self, s, n):
        return {"a": self.words.lookup(s), "b": self.numbers.lookup(n), "c": tf.equal(s, "y"), "d": s != "z",
                "e": self.words.size()}


def build_tables():
    return Tables()
"""


@pytest.fixture
def sources(tmp_path, monkeypatch):
    (tmp_path / "lookups.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("structured", ["onnx", "savedmodel", "hdf5"]),
        ("numbers", ["onnx", "torchscript", "savedmodel", "hdf5"]),
        ("closed", ["onnx", "savedmodel"]),
        ("text", ["savedmodel", "hdf5"]),
        ("learned", ["savedmodel", "hdf5"]),
        ("named", ["onnx", "savedmodel"]),
    ],
)
def test_what_is_looked_up_comes_along(sources, name, targets):
    made = bundle.export(f"lookups:build_{name}", targets, sources / "out", **QUICK)
    assert [(row.format, row.verdict.value) for row in made.report.rows] == [(to, "PASS") for to in targets]
    assert verifier.verify(made.path, latency=False).passed  # words are in the golden data, too
    if name == "structured":
        assert invoke(["bench", str(made.path), "--threads", "1"]) == 0


def test_a_file_that_reads_words_is_looked_at_in_float64(sources):
    made = bundle.export("lookups:build_structured", ["onnx"], sources / "out", **QUICK)
    model = onnx.load(made.file("onnx"))
    tables = [
        attribute for node in model.graph.node for attribute in node.attribute if attribute.name.startswith("keys_")
    ]
    assert len(tables) == 3
    assert all(list(held) == sorted(held) for table in tables for held in (table.strings, table.ints)), "in hash order"
    (weight,) = (item for item in model.graph.initializer if list(item.dims) == [8, 1])
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0] *= np.float32(1 + 1e-4)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, sources / "wrong.onnx")
    report = verifier.verify("lookups:build_structured", [made.file("onnx"), sources / "wrong.onnx"], **QUICK)
    assert [(row.verdict.value, row.lenses[0].passed) for row in report.rows] == [("PASS", True), ("FAIL", False)], [
        row.reason for row in report.rows
    ]


def test_words_that_floats_decide_have_no_exact_front():
    graph = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 4]>
        g (string[N] s, float[N] x) => (float[N] y) {
            number = ai.onnx.ml.LabelEncoder<keys_strings = ["a", "b"], values_int64s = [1, 2]>(s)
            f = Cast<to = 1>(number)
            y = Mul(f, x)
        }""")
    divided = words.divide(ir.from_proto(graph))
    assert [value.name for value in divided.rest.graph.inputs] == ["x", "number"]
    (found,) = divided.look_up({"s": np.array(["b", "c", "a"], object)}).values()
    assert found.tolist() == [2, -1, 1]
    decided = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 4]>
        g (string[N] s, float[N] x) => (int64[N] y) {
            t = Cast<to = 8>(x)
            joined = StringConcat(s, t)
            y = ai.onnx.ml.LabelEncoder<keys_strings = ["a", "b"], values_int64s = [1, 2]>(joined)
        }""")
    with pytest.raises(UnsupportedOperator, match="computed from each other"):
        words.divide(ir.from_proto(decided))


def test_tables_of_a_module(sources):
    made = bundle.export(
        "lookups:build_tables", ["onnx", "savedmodel"], sources / "out", framework="tensorflow", **QUICK
    )
    assert made.report.passed
    session = onnxruntime.InferenceSession(made.file("onnx"))
    given = {"s": np.array(["y", "other"], object), "n": np.array([900, 6], np.int32)}
    answers = dict(zip((value.name for value in session.get_outputs()), session.run(None, given), strict=True))
    assert answers["a"].tolist() == [1.5, 7.0]
    assert answers["b"].tolist() == [3, -1]
    assert answers["b"].dtype == np.int32
    assert answers["c"].tolist() == [True, False]
    assert answers["d"].tolist() == [True, True]
    assert answers["e"] == 3


def test_words_come_as_data(sources):
    given = np.array([["a"], ["c"], ["b"]])
    np.savez(sources / "words.npz", word=given)
    np.savez(sources / "bytes.npz", word=given.astype("S1"))
    for data in ("words.npz", "bytes.npz"):
        made = bundle.export("lookups:build_closed", "onnx", sources / "out", data=sources / data, **QUICK)
        assert made.report.passed
        assert made.report.coverage.real == len(given)
        assert verifier.verify(made.path, latency=False).passed


@pytest.mark.parametrize("key", ["nurse", "chess"])
def test_one_word_of_another_number_is_seen(sources, key):
    """Generated words are the table's own: others alone would all be unknown to it, and any table would do."""
    made = bundle.export("lookups:build_structured", ["onnx"], sources / "out", **QUICK)
    model = onnx.load(made.file("onnx"))
    wrong = 0
    for node in model.graph.node:
        settings = {item.name: item for item in node.attribute}
        if (
            node.op_type == "LabelEncoder"
            and key.encode() in settings.get("keys_strings", onnx.AttributeProto()).strings
        ):
            place = list(settings["keys_strings"].strings).index(key.encode())
            settings["values_int64s"].ints[place] = 0  # as of a word that is not there
            wrong += 1
    assert wrong == 1
    onnx.save(model, sources / "wrong.onnx")
    report = verifier.verify("lookups:build_structured", [sources / "wrong.onnx"], **QUICK)
    assert [row.verdict.value for row in report.rows] == ["FAIL"]
    assert "has other numbers for these words" in report.rows[0].divergence.words


def test_words_for_torchscript_are_refused_by_name(sources):
    with pytest.raises(Exception, match="LabelEncoder with keys_strings"):
        bundle.export("lookups:build_structured", ["torchscript"], sources / "out", **QUICK)
    assert not (sources / "out").exists()


def test_what_else_could_be_written_is_said(sources):
    with pytest.raises(ExportFailed) as caught:
        bundle.export("lookups:build_text", ["onnx", "hdf5", "torchscript", "savedmodel"], sources / "out", **QUICK)
    said = "Nothing was written. Nor can torchscript be written. The others can: --to hdf5 --to savedmodel."
    assert caught.value.hint == said
    assert not (sources / "out").exists()

"""Keras and TensorFlow models as ONNX: every layer that tf2onnx gets wrong, run at several batch sizes.

One TensorFlow worker builds and exports, one ONNX Runtime worker runs: they share no process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from exporters.options import ExportOptions
from exporters.sources import source as sources
from toolkit import bundle
from toolkit.errors import ExportFailed
from toolkit.verification.plan import Batch
from toolkit.verification.sides import open_file, open_source
from toolkit.verification.verifier import Settings

Array = np.ndarray[Any, Any]

BATCHES = (1, 2, 3, 7)
CLOSE = 1e-5  # relative to the largest output: some dozens of roundings of float32, a hundredth of any mistake

# A user's module of models: `build_<name>` for each.
MODELS = '''
import keras
import numpy as np
import tensorflow as tf
from keras import layers as L


def stack(shape, *layers):
    """Layers on an input, with biases and statistics that are not the zeros and ones of a new layer."""
    def build():
        keras.utils.set_random_seed(3)
        return shaken(keras.Sequential([keras.Input(shape), *(layer() for layer in layers)]))
    return build


def shaken(model):
    random = np.random.default_rng(0)
    model.set_weights([
        value + np.abs(random.normal(0, 0.1, value.shape)).astype(value.dtype) if value.ndim == 1 else value
        for value in model.get_weights()
    ])
    return model


def build_normalization():
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, (100, 5)).astype("float32"))
    return keras.Sequential([keras.Input((5,)), layer, L.Dense(3)])


def build_masked_gru():
    keras.utils.set_random_seed(3)
    x = keras.Input((6,), dtype="int32")
    return keras.Model(x, L.GRU(4)(L.Embedding(9, 5, mask_zero=True)(x)))


def masked(cell):
    """Masked steps in the middle of a sequence too, and whole rows that are masked."""
    def build():
        keras.utils.set_random_seed(3)
        x = keras.Input((6,), dtype="int32")
        return shaken(keras.Model(x, cell(L.Embedding(9, 5, mask_zero=True)(x))))
    return build


build_masked_lstm_sequence = masked(L.LSTM(4, return_sequences=True))
build_masked_simple = masked(L.Bidirectional(L.SimpleRNN(4, return_sequences=True)))


def build_first_states():
    keras.utils.set_random_seed(3)
    x, h = keras.Input((None, 5)), keras.Input((4,))
    return shaken(keras.Model([x, h], L.LSTM(4)(x, initial_state=[h, 2 * h]) + L.GRU(4)(x, initial_state=h)))


def build_excited():
    """A block of MobileNetV3: hard swish, squeeze and excite, and the sum with what came in."""
    keras.utils.set_random_seed(3)
    x = keras.Input((9, 8, 3))
    hidden = L.Activation("hard_swish")(L.BatchNormalization()(L.Conv2D(8, 3, 2, "same")(x)))
    small = L.GlobalAveragePooling2D(keepdims=True)(hidden)
    excited = L.Multiply()([hidden, L.Activation("hard_sigmoid")(L.Conv2D(8, 1)(L.ReLU()(L.Conv2D(4, 1)(small))))])
    joined = L.Concatenate()([L.Conv2D(8, 1)(excited) + hidden, L.ZeroPadding2D(1)(hidden)[:, 1:-1, 1:-1, :4]])
    return shaken(keras.Model(x, L.GlobalMaxPooling2D()(L.DepthwiseConv2D(3)(joined * 0.5))))


def build_attention():
    keras.utils.set_random_seed(3)
    x = keras.Input((6, 8))
    hidden = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    return shaken(keras.Model(x, hidden + L.Dense(8)(L.Dense(16, activation="gelu")(hidden))))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = L.Dense(4, activation="gelu")
        self.offset = keras.ops.convert_to_tensor(np.arange(4, dtype="float32"))

    def call(self, x):
        return self.out(x) + self.offset


def build_subclassed():
    keras.utils.set_random_seed(3)
    return Subclassed(), np.zeros((2, 5), "float32")


class Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.random.stateless_normal((3, 3, 4, 6), (1, 2)), name="weight")
        self.offset = tf.constant([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 4])])
    def __call__(self, x):
        images = tf.image.resize(compiled_conv(x, self.weight), tf.shape(x)[1:3] + 3)
        return {"images": tf.math.erfc(images) + self.offset}


@tf.function(jit_compile=True)
def compiled_conv(x, weight):
    return tf.nn.conv2d(x, weight, 2, "SAME")


def build_module():
    return Module()


class Elementary(tf.Module):
    """Operators that are several of ONNX's; the numbers are chosen where a careless form goes wrong."""

    @tf.function(input_signature=[tf.TensorSpec([None, 5, 5]), tf.TensorSpec([None, 4], tf.int32)])
    def __call__(self, x, whole):
        places = tf.stack([whole[:, 0], whole[:, 0]], 1)[..., None]
        return {
            "log1p": tf.math.log1p(tf.abs(x) * 1e-6), "log1p_far": tf.math.log1p(tf.abs(x) * 1e6),
            "xlogy": tf.math.xlogy(tf.nn.relu(x), tf.nn.relu(x)), "xdivy": tf.math.xdivy(tf.nn.relu(x), tf.nn.relu(x)),
            "norm": tf.math.reduce_euclidean_norm(x, [1, 2]),
            "divided": (whole - 2) // (whole - 5), "rest": (whole - 2) % (whole - 5),
            "scattered": tf.scatter_nd(places, tf.stack([x, x], 1), [3, 5, 5]),
            "diagonal": tf.linalg.diag(x[:, 0]), "set": tf.linalg.set_diag(x, x[:, 1]),
            "rounded": tf.cast(tf.cast(x, tf.float16), tf.float32),
            "contracted": tf.einsum("...ij,...jk->...ik", x, x),
            "patches": tf.image.extract_patches(x[..., None], [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], "SAME"),
        }


def build_elementary():
    return Elementary()


def build_states():
    """Two layers that return several tensors, and one whose dropout counts how often it has been called."""
    keras.utils.set_random_seed(3)
    x = keras.Input((6, 5))
    sequence, last = L.GRU(4, return_state=True, return_sequences=True, dropout=0.5)(x)
    return shaken(keras.Model(x, [sequence, last, *L.LSTM(3, return_state=True)(sequence)]))


build_gated = stack((6, 8), lambda: L.Dense(6, activation="glu"))  # Keras declares twice the size that it has
build_channels_first = stack((4, 9, 8), lambda: L.DepthwiseConv2D(3, data_format="channels_first"),
                             lambda: L.Reshape((4, 42)), lambda: L.Conv1D(3, 3, data_format="channels_first"))


class Table(tf.Module):
    def __init__(self):
        super().__init__()
        entries = tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1], tf.int64), tf.constant([5.0, 6.0]))
        self.table = tf.lookup.StaticHashTable(entries, -1.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def __call__(self, x):
        return {"y": self.table.lookup(x)}


def build_table():
    return Table()


class Unknown(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 4])])
    def __call__(self, x):
        return {"y": tf.math.lgamma(x), "z": tf.math.digamma(x, name="named")}


class Returned(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 8])])
    def __call__(self, x):
        return {"y": tf.signal.irfft(tf.signal.rfft(x, name="spectrum"))}


class Spectrum(tf.Module):
    """Parts of spectra, as Keras' mel spectrogram takes them; filled up, and of an odd length."""

    @tf.function(input_signature=[tf.TensorSpec([None, 3, 12])])
    def __call__(self, x):
        long, odd = tf.signal.rfft(x, [16]), tf.signal.rfft(x[:, 0], [9])
        sizes = tf.broadcast_dynamic_shape(tf.shape(x), [1, 1, 12])
        again = tf.complex(tf.math.real(odd), tf.math.imag(odd))
        return {"real": tf.math.real(long), "imaginary": tf.math.imag(long), "size": tf.abs(again),
                "sizes": tf.zeros(sizes) + x}


def build_spectrum():
    return Spectrum()


def build_returned():
    return Returned()


class Filtered(L.Layer):
    """Transforms of sizes that are powers of two, and of others, there and back."""

    def call(self, x):
        real, imaginary = keras.ops.fft2((x, 0.5 * x))
        back, _ = keras.ops.ifft2((real * 2.0, imaginary))
        return keras.ops.irfft(keras.ops.rfft(back), back.shape[-1]) + keras.ops.ifft2((x, x))[1]


def build_filtered_even():
    x = keras.Input((4, 8))
    return keras.Model(x, Filtered()(x))


def build_filtered_odd():
    x = keras.Input((6, 15))
    return keras.Model(x, Filtered()(x))


def build_unknown():
    return Unknown()


def bicubic(size):
    return lambda: L.Resizing(*size, interpolation="bicubic")


build_conv2d_groups = stack((9, 9, 8), lambda: L.Conv2D(6, 3, groups=2, padding="same"))
build_conv1d_groups = stack((9, 8), lambda: L.Conv1D(6, 3, groups=2, strides=2))
build_conv3d_groups = stack((5, 5, 5, 4), lambda: L.Conv3D(6, 3, groups=2))
build_groups_over_time = stack((3, 6, 6, 4), lambda: L.TimeDistributed(L.Conv2D(4, 3, groups=2)))
build_transposed_valid = stack((5, 6, 4), lambda: L.Conv2DTranspose(3, (4, 3), (3, 2), output_padding=(1, 1)))
build_transposed_same = stack((5, 6, 4), lambda: L.Conv2DTranspose(3, 4, 3, padding="same"))
build_transposed_short = stack((5, 6, 4), lambda: L.Conv2DTranspose(3, 1, 2), lambda: L.Conv2DTranspose(3, 2, 3))
build_transposed_dilated = stack((5, 6, 4), lambda: L.Conv2DTranspose(3, 3, padding="same", dilation_rate=2))
build_transposed_1d = stack((7, 4), lambda: L.Conv1DTranspose(3, 4, 2, padding="same"))
build_transposed_3d = stack((3, 4, 3, 2), lambda: L.Conv3DTranspose(3, (2, 4, 3), (2, 3, 1)))
build_transposed_dynamic = stack((None, None, 4), lambda: L.Conv2DTranspose(3, 4, 3, padding="same"),
                                 lambda: L.Conv2DTranspose(2, 2, 3))
build_bicubic_up = stack((5, 7, 3), bicubic((10, 14)))
build_bicubic_odd = stack((7, 9, 3), bicubic((11, 5)))
build_nearest = stack((9, 12, 3), lambda: L.Resizing(5, 7, interpolation="nearest"))
build_bilinear = stack((9, 13, 3), lambda: L.Resizing(6, 8))
build_antialias = stack((9, 12, 3), lambda: L.Resizing(4, 5, antialias=True))
build_area = stack((8, 9, 3), lambda: L.Resizing(4, 4, interpolation="area"))
build_activations = stack((5,), *(lambda name=name: L.Dense(4, activation=name) for name in
                                  ("gelu", "elu", "celu", "selu", "mish", "hard_swish", "softsign")))
build_discretization = stack((4,), lambda: L.Discretization([-1.0, 0.0, 1.0]))
build_lstm = stack((6, 5), lambda: L.LSTM(4, return_sequences=True), lambda: L.LSTM(3))
build_gru = stack((6, 5), lambda: L.GRU(4, return_sequences=True), lambda: L.GRU(3))
build_gru_reset_before = stack((6, 5), lambda: L.GRU(4, reset_after=False))
build_gru_backwards = stack((6, 5), lambda: L.GRU(4, go_backwards=True, use_bias=False))
build_gru_dynamic = stack((None, 5), lambda: L.GRU(4, return_sequences=True))
build_gru_wide = stack((6, 40), lambda: L.GRU(150))  # its weights are large enough to be set aside
build_gru_hard = stack((6, 5), lambda: L.GRU(4, recurrent_activation="hard_sigmoid"))
build_lstm_backwards = stack((None, 5), lambda: L.LSTM(4, go_backwards=True, return_sequences=True))
build_lstm_gelu = stack((6, 5), lambda: L.LSTM(4, activation="gelu"))
build_lstm_unrolled = stack((6, 5), lambda: L.LSTM(4, return_sequences=True, unroll=True),
                            lambda: L.LSTM(3, unroll=True))
build_gru_unrolled = stack((6, 5), lambda: L.GRU(4, go_backwards=True, return_sequences=True, unroll=True),
                           lambda: L.GRU(3, reset_after=False, unroll=True))
build_simple_rnn_unrolled = stack((6, 5), lambda: L.Bidirectional(L.SimpleRNN(4, return_sequences=True, unroll=True)))
build_simple_rnn = stack((6, 5), lambda: L.SimpleRNN(4, activation="relu"))
build_bidirectional = stack((6, 5), lambda: L.Bidirectional(L.GRU(4)))
build_convolutional_lstm = stack((3, 5, 5, 2), lambda: L.ConvLSTM2D(3, 3, padding="same"))
build_batch_normalization = stack((8, 8, 3), lambda: L.Conv2D(4, 3), lambda: L.BatchNormalization(),
                                  lambda: L.ReLU(6.0), lambda: L.DepthwiseConv2D(3),
                                  lambda: L.BatchNormalization(axis=3),
                                  lambda: L.Conv2D(4, 1), lambda: L.BatchNormalization(scale=False),
                                  lambda: L.Conv2D(4, 1), lambda: L.BatchNormalization(epsilon=0.1),
                                  lambda: L.Flatten(), lambda: L.BatchNormalization())
build_batch_normalization_odd = stack((8, 8, 3), lambda: L.BatchNormalization(scale=False),
                                      lambda: L.BatchNormalization(center=False), lambda: L.BatchNormalization(axis=2))
build_batch_normalization_3d = stack((4, 4, 4, 2), lambda: L.BatchNormalization())
build_batch_normalization_1d = stack((4, 2), lambda: L.BatchNormalization())
build_padded_maximum = stack((9, 8, 3), lambda: L.ZeroPadding2D(1), lambda: L.MaxPooling2D(3, 2),
                             lambda: L.ZeroPadding2D(((0, 1), (1, 0))), lambda: L.MaxPooling2D(2, 1))
build_image_block = stack((8, 8, 3), lambda: L.Conv2D(4, 3), lambda: L.BatchNormalization(),
                          lambda: L.DepthwiseConv2D(3), lambda: L.GlobalAveragePooling2D(), lambda: L.Dense(2))
'''

REFUSED = {"table", "unknown"}
NAMES = sorted(set(re.findall(r"^(?:def )?build_(\w+)", MODELS, re.MULTILINE)) - REFUSED)


@dataclass(frozen=True)
class Written:
    """An exported file, its source's answers by batch size, and its own."""

    path: Path
    pairs: tuple[tuple[dict[str, Array], dict[str, Array]], ...]

    @property
    def graph(self) -> onnx.GraphProto:
        return onnx.load(self.path).graph

    @property
    def operators(self) -> set[str]:
        return {node.op_type for node in self.graph.node}


class Exporter:
    """Opens sources in the TensorFlow worker, writes them, and runs both sides."""

    def __init__(self, pool: Any, folder: Path) -> None:
        self._pool, self.folder = pool, folder
        self._written: dict[str, Written] = {}

    def __getitem__(self, name: str) -> Written:
        if name not in self._written:
            self._written[name] = self._export(name)
        return self._written[name]

    def write(self, name: str) -> tuple[Any, Path, Mapping[str, Any]]:
        framework = "tensorflow" if name in ("module", "elementary", "spectrum", "returned", *REFUSED) else "keras"
        source = sources.resolve(f"onnx_zoo:build_{name}", framework=framework, search=[str(self.folder)])
        side = open_source(self._pool, source)
        path = self.folder / f"{name}.onnx"
        params = {"handle": side.handle, "to": "onnx", "strategy": "tf2onnx", "path": str(path)}
        return side, path, side.worker.call("exporters.tasks:write", {**params, "options": ExportOptions().to_json()})

    def _export(self, name: str) -> Written:
        side, path, result = self.write(name)
        if not result["written"]:
            raise ExportFailed(result["why"])
        batches = [_batch(side.signature, size) for size in BATCHES]
        theirs = open_file(self._pool, path, "cpu", side.signature)
        pairs = tuple(zip(side.run(batches), theirs.run(batches), strict=True))
        side.close()
        theirs.close()
        return Written(path, pairs)


def _batch(signature: Any, size: int) -> Batch:
    random = np.random.default_rng(size)
    arrays = {}
    for spec in signature.inputs:
        shape = [size if dim == signature.batch else 4 + size if isinstance(dim, str) else dim for dim in spec.shape]
        whole = spec.dtype.startswith("int")
        arrays[spec.name] = (random.integers(0, 3, shape) if whole else random.normal(size=shape)).astype(spec.dtype)
    return Batch("example", arrays, size)


@pytest.fixture(scope="module")
def exported(pool: Any, tmp_path_factory: pytest.TempPathFactory) -> Exporter:
    folder = tmp_path_factory.mktemp("onnx_zoo")
    (folder / "onnx_zoo.py").write_text(MODELS)
    return Exporter(pool, folder)


@pytest.mark.parametrize("name", NAMES)
def test_predicts_what_its_source_predicts_at_every_batch_size(exported: Exporter, name: str) -> None:
    for ours, theirs in exported[name].pairs:
        for output, expected in ours.items():
            assert theirs[output].shape == expected.shape
            np.testing.assert_allclose(theirs[output], expected, rtol=0, atol=CLOSE * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("table", "the model uses a resource that is no variable, such as a lookup table"),
        ("unknown", "ONNX has no form of these TensorFlow operators: Digamma (in "),
    ],
)
def test_what_onnx_cannot_say_is_refused_by_name(exported: Exporter, name: str, said: str) -> None:
    side, _, result = exported.write(name)
    side.close()
    assert not result["written"]
    assert said in result["why"]


def test_every_unknown_operator_is_listed_at_once(exported: Exporter) -> None:
    side, _, result = exported.write("unknown")
    side.close()
    assert "Digamma (in " in result["why"]
    assert "Lgamma (in " in result["why"]


@pytest.mark.parametrize("name", ["conv2d_groups", "conv1d_groups", "conv3d_groups", "groups_over_time"])
def test_a_grouped_convolution_keeps_its_groups(exported: Exporter, name: str) -> None:
    convolutions = [node for node in exported[name].graph.node if node.op_type == "Conv"]
    assert [item.i for node in convolutions for item in node.attribute if item.name == "group"] == [2] * len(
        convolutions
    )
    assert convolutions


def test_a_longer_output_is_padded_as_onnx_has_it(exported: Exporter) -> None:
    (node,) = (node for node in exported["transposed_valid"].graph.node if node.op_type == "ConvTranspose")
    attributes = {item.name: list(item.ints) for item in node.attribute}
    assert attributes["pads"] == [0, 0, 0, 0]
    assert attributes["output_padding"] == [1, 1]


def test_inputs_are_those_of_the_model(exported: Exporter) -> None:
    for name in ("normalization", "subclassed", "module"):
        assert len(exported[name].graph.input) == 1


def test_weights_bear_the_names_of_the_variables(exported: Exporter) -> None:
    names = {re.sub(r"_\d+/", "/", item.name.partition("/")[2]) for item in exported["image_block"].graph.initializer}
    normalization = {f"batch_normalization/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    kernels = {f"{layer}/{name}" for layer in ("conv2d", "depthwise_conv2d") for name in ("kernel", "bias")}
    assert normalization | kernels <= names
    assert {"kernel", "bias"} <= {name.rpartition("/")[2] for name in names if name.startswith("dense")}


def test_a_batch_normalization_is_one_operator_without_transpositions(exported: Exporter) -> None:
    operators = [node.op_type for node in exported["batch_normalization"].graph.node]
    assert operators.count("BatchNormalization") == 5
    assert operators.count("Transpose") == 2  # one at each end: images are channels-last in Keras
    assert not {"Sqrt", "Reciprocal"} & set(operators)


def test_a_padded_maximum_is_out_of_reach_of_pad_fusion(exported: Exporter) -> None:
    """That it predicts the same is asked of every model above; here, that the fusion would find what it looks for."""
    assert {"Pad", "MaxPool"} <= exported["padded_maximum"].operators


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lstm", "LSTM"), ("lstm_backwards", "LSTM"), ("masked_lstm_sequence", "LSTM"), ("first_states", "LSTM"),
        ("gru", "GRU"), ("gru_reset_before", "GRU"), ("gru_backwards", "GRU"), ("gru_dynamic", "GRU"),
        ("gru_hard", "GRU"), ("gru_wide", "GRU"), ("masked_gru", "GRU"), ("bidirectional", "GRU"),
        ("first_states", "GRU"), ("simple_rnn", "RNN"), ("masked_simple", "RNN"), ("lstm_unrolled", "LSTM"),
        ("gru_unrolled", "GRU"), ("simple_rnn_unrolled", "RNN"),
    ],
)  # fmt: skip
def test_a_recurrent_layer_is_one_operator(exported: Exporter, name: str, kind: str) -> None:
    assert kind in exported[name].operators
    assert not {"Loop", "Sigmoid", "Tanh"} & exported[name].operators


def test_a_cell_that_onnx_does_not_have_stays_a_loop(exported: Exporter) -> None:
    assert "Loop" in exported["lstm_gelu"].operators


def test_a_convolutional_block_is_transposed_at_its_entrance_alone(exported: Exporter) -> None:
    operators = [node.op_type for node in exported["excited"].graph.node]
    assert operators.count("Transpose") == 1


def test_only_operator_sets_that_are_used_are_declared(exported: Exporter) -> None:
    model = onnx.load(exported["activations"].path)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    assert model.ir_version <= 10


def test_a_loop_has_a_truth_in_float64(exported: Exporter, pool: Any, tmp_path: Path) -> None:
    """TensorFlow refuses two functions of one name: the float64 body of a loop beside the one that was exported."""
    source = sources.resolve("onnx_zoo:build_gru", framework="keras", search=[str(exported.folder)])
    settings = Settings(count=32, latency=False)
    made = bundle.carry_out(pool, bundle.Request(source, ("onnx",), tmp_path / "out", ExportOptions(), settings))
    assert made.report.passed

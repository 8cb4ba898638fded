"""A module of small Keras and TensorFlow models, as a text: what `test_keras_to_onnx` exports."""

from __future__ import annotations

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
            "sparse": tf.sparse.sparse_dense_matmul(
                tf.SparseTensor([[0, 1], [2, 0], [2, 4]], [1.0, 2.0, x[0, 0, 0]], [3, 5]), x[:, 0], adjoint_b=True),
            "pixels": tf.nn.depth_to_space(tf.tile(x[..., None], [1, 1, 1, 9]), 3),
            "channels": tf.nn.space_to_depth(tf.pad(x, [[0, 0], [1, 0], [1, 0]])[..., None] * [1.0, 2.0], 2),
            "patches": tf.image.extract_patches(x[..., None], [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], "SAME"),
            "far": tf.image.extract_patches(x[..., None], [1, 2, 3, 1], [1, 2, 2, 1], [1, 2, 1, 1], "SAME"),
            "rest_of_floats": x % 0.1, "rest_below": x % -0.3,
            "buckets": tf.raw_ops.Bucketize(input=tf.where(x > 0, x, x / 0 * 0), boundaries=[-1.0, 0.0, 1.0]),
            "transposed": tf.nn.conv2d_transpose(
                x[..., None], tf.reshape(tf.range(9.0), (3, 3, 1, 1)), [tf.shape(x)[0], 10, 10, 1], 2,
                padding=[[0, 0], [2, 0], [0, 1], [0, 0]]),
            "wider": tf.nn.batch_normalization(x[:, 0, :1], *map(tf.constant, ([1., 0.], [2., 3.], [1., 4.], [5., 6.])),
                                               1e-3),
        }


class Complex(tf.Module):
    """What is computed with complex numbers is computed with both halves."""

    @tf.function(input_signature=[tf.TensorSpec([None, 3, 8])])
    def __call__(self, x):
        spectrum, z = tf.signal.rfft(x), tf.complex(x, 1.0 - 2.0 * x)
        masked = spectrum * tf.cast(tf.nn.sigmoid(tf.math.real(spectrum)), tf.complex64)
        return {
            "filtered": tf.signal.irfft(masked * tf.math.conj(spectrum[:, ::-1])), "cosines": tf.signal.dct(x),
            "ratio": tf.math.imag(z / (z + 2.0)), "angle": tf.math.angle(tf.exp(z) * 1j), "size": tf.abs(tf.square(z)),
            "sum": tf.math.imag(tf.reduce_sum(tf.concat([z, -z[:, :1]], 1), 1)), "sizes": tf.shape(z) + 0 * tf.shape(x),
            "matrix": tf.math.real(tf.matmul(z, z, adjoint_b=True)), "one": tf.math.real(tf.transpose(z)[0]),
            "mapped": tf.map_fn(lambda row: tf.abs(tf.signal.rfft(row)), x),
            "moved": tf.math.imag(tf.reshape(tf.stack([z, z], 1), [-1, 8])), "inverse": tf.math.imag(1.0 / z),
        }


def build_complex():
    return Complex()


class ComplexRoot(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 8])])
    def __call__(self, x):
        return {"y": tf.math.real(tf.sqrt(tf.complex(x, x)))}


def build_complex_root():
    return ComplexRoot()


class Joined(tf.Module):
    """Rows put where indices say: below 0 nowhere; and segments of which some have no rows."""

    @tf.function(input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([None, 4], tf.int32)])
    def __call__(self, x, whole):
        ids, ordered = whole[:, 0] - 1, 2 * tf.sort(whole[:, 1])
        largest = tf.math.unsorted_segment_max(x, ids, 4)
        image = tf.reshape(x[:1], [1, 2, 2, 1])
        return {
            "marks": tf.one_hot(whole - 1, 2, 3.0, -1.0),
            "whole_marks": tf.one_hot(whole - 1, 2, axis=1, dtype=tf.int32),
            "one": tf.one_hot(ids[0], 3), "sums": tf.math.unsorted_segment_sum(x, ids, 4),
            "pairs": tf.math.unsorted_segment_sum(x, whole - 1, 3), "there": tf.math.is_finite(largest),
            "largest": tf.maximum(largest, -9.0), "products": tf.math.unsorted_segment_prod(x, ids, 4),
            "means": tf.math.segment_mean(x, ordered), "least": tf.math.segment_min(x, ordered),
            "inverse": tf.math.invert_permutation(tf.argsort(whole[0])), "running": tf.math.cumprod(x, -1),
            "line": x + tf.linspace(0.0, 1.0, 4), "below": tf.searchsorted(tf.sort(x), tf.round(x)),
            "above": tf.searchsorted([-1.0, 0.0, 0.0, 1.0], tf.round(x[0]), "right"),
            "cropped": tf.image.crop_and_resize(image, [[0.0, 0.0, 1.0, 1.0]], [0], [3, 3], method="nearest"),
        }


def build_joined():
    return Joined()


class Older(tf.Module):
    """Operators that had another form, or none, in older opsets."""

    def __init__(self, places):
        super().__init__()
        self.places = places

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def __call__(self, x):
        return {"norm": tf.math.reduce_euclidean_norm(x, [1]), "put": tf.scatter_nd(self.places, x[0], [4])}


def build_older():
    return Older([[3], [0], [2]])


def build_older_sum():
    return Older([[3], [0], [3]])


class Oldest(tf.Module):
    """Axes and regions of images that were told otherwise."""

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 5, 3])])
    def __call__(self, x):
        return {"resized": tf.image.resize(x, [7, 9]), "diagonal": tf.linalg.diag(x),
                "buckets": tf.raw_ops.Bucketize(input=x, boundaries=[0.0, 1.0]),
                "shares": tf.nn.softmax(tf.nn.relu(tf.nn.conv2d(x, tf.ones((3, 3, 3, 4)), 1, "SAME") * [1., 2, 3, 4]))}


def build_oldest():
    return Oldest()


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


class Systems(tf.Module):
    """Linear systems, rows to be swapped among them; a batch of matrices, and one for all."""

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4]), tf.TensorSpec([None, 4, 2])])
    def __call__(self, x, right):
        swapped = x + 6.0 * tf.eye(4)[::-1]
        definite = tf.matmul(x, x, transpose_b=True) + tf.eye(4)
        lower = tf.linalg.cholesky(definite)
        return {
            "inverse": tf.linalg.inv(swapped), "turned": tf.linalg.inv(swapped, adjoint=True),
            "solved": tf.linalg.solve(swapped, right), "adjoint": tf.linalg.solve(swapped, right, adjoint=True),
            "lower": lower, "below": tf.linalg.triangular_solve(lower, right),
            "above": tf.linalg.triangular_solve(lower, right, adjoint=True),
            "upper": tf.linalg.triangular_solve(tf.linalg.matrix_transpose(lower), right, lower=False),
            "chosen": tf.linalg.cholesky_solve(lower, right),
        }


def build_systems():
    return Systems()


class Pictures(tf.Module):
    """Colours, greys and black among them; morphology with and without padding."""

    @tf.function(input_signature=[tf.TensorSpec([None, 7, 6, 3])])
    def __call__(self, x):
        image = tf.concat([tf.nn.sigmoid(x), tf.zeros_like(x[:, :1]), 0.5 * tf.ones_like(x[:, :1])], 1)
        hsv, kernel = tf.image.rgb_to_hsv(image), tf.reshape(tf.range(18.0) % 5.0, (2, 3, 3))
        return {
            "hsv": hsv, "rgb": tf.image.hsv_to_rgb(tf.nn.sigmoid(x)), "again": tf.image.hsv_to_rgb(hsv),
            "paler": tf.image.adjust_saturation(image, 0.5), "turned": tf.image.adjust_hue(image, 0.4),
            "dilated": tf.nn.dilation2d(x, kernel, [1, 2, 1, 1], "SAME", "NHWC", [1, 2, 1, 1]),
            "eroded": tf.nn.erosion2d(x, kernel, [1, 1, 2, 1], "VALID", "NHWC", [1, 1, 1, 1]),
        }


def build_pictures():
    return Pictures()


class Statistics(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([None], tf.int32)])
    def __call__(self, x, whole):
        share = tf.nn.sigmoid(x)
        return {
            "erfinv": tf.math.erfinv(2.0 * share - 1.0), "quantile": tf.math.ndtri(share),
            "cross": tf.linalg.cross(x, x[:, ::-1] + 1.0), "energy": tf.nn.l2_loss(x),
            "among": tf.cast(tf.math.in_top_k(whole, x, 2), tf.float32),
        }


def build_statistics():
    return Statistics()


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
                "sizes": tf.zeros(sizes) + x, "double": tf.abs(tf.signal.rfft(tf.cast(x, tf.float64)))}


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

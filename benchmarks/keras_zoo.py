"""Keras models to convert: applications, and small nets of one layer or two each, their weights moved off their start.

`build_NAME` is a factory for each name of NAMES. A new layer's biases are zero and its statistics zero and one: a
converter could lose them unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import Input
from keras import layers as L  # noqa: N812 - as in Keras' own examples

APPLICATIONS = (
    "MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0",
    "DenseNet121", "NASNetMobile", "ResNet50", "ResNet50V2", "InceptionV3", "Xception", "ConvNeXtTiny",
    "InceptionResNetV2", "VGG16",
)  # fmt: skip


def _application(name: str) -> Any:
    return getattr(keras.applications, name)(weights=None)


def _stack(shape: tuple[int | None, ...], *layers: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: keras.Sequential([Input(shape), *(layer() for layer in layers)])


def _transformer() -> Any:
    x = Input((16, 32))
    h = L.LayerNormalization()(x)
    h = L.MultiHeadAttention(4, 8)(h, h)
    y = L.Add()([x, h])
    h = L.LayerNormalization()(y)
    h = L.Dense(64, activation="gelu")(h)
    h = L.Dense(32)(h)
    return keras.Model(x, L.Add()([y, h]))


def _transformer_causal() -> Any:
    x = Input((16, 32))
    h = L.MultiHeadAttention(4, 8)(x, x, use_causal_mask=True)
    return keras.Model(x, L.LayerNormalization()(L.Add()([x, h])))


def _embed_lstm() -> Any:
    x = Input((12,), dtype="int32")
    h = L.Embedding(50, 16, mask_zero=True)(x)
    return keras.Model(x, L.Dense(3)(L.LSTM(8)(h)))


def _gqa() -> Any:
    x = Input((16, 32))
    return keras.Model(x, L.GroupQueryAttention(8, 4, 2)(x, x))


def _multi() -> Any:
    a, b = Input((8,)), Input((6,))
    h = L.Concatenate()([L.Dense(4)(a), L.Dense(4)(b)])
    return keras.Model([a, b], [L.Dense(2)(h), L.Dense(3, activation="softmax")(h)])


NETS: dict[str, Callable[[], Any]] = {
    "lstm": _stack((20, 8), lambda: L.LSTM(16)),
    "lstm_seq": _stack((20, 8), lambda: L.LSTM(16, return_sequences=True), lambda: L.LSTM(5)),
    "lstm_dyn": _stack((None, 8), lambda: L.LSTM(16, return_sequences=True)),
    "gru": _stack((20, 8), lambda: L.GRU(16)),
    "gru_reset_before": _stack((20, 8), lambda: L.GRU(16, reset_after=False, return_sequences=True)),
    "simplernn": _stack((20, 8), lambda: L.SimpleRNN(16)),
    "bilstm": _stack((20, 8), lambda: L.Bidirectional(L.LSTM(16, return_sequences=True))),
    "bigru": _stack((20, 8), lambda: L.Bidirectional(L.GRU(16))),
    "embed_lstm_mask": _embed_lstm,
    "convlstm2d": _stack((5, 8, 8, 3), lambda: L.ConvLSTM2D(4, 3, padding="same")),
    "transformer": _transformer,
    "transformer_causal": _transformer_causal,
    "gqa": _gqa,
    "conv1d_causal": _stack(
        (33, 7),
        lambda: L.Conv1D(9, 3, padding="causal", dilation_rate=2),
        lambda: L.Conv1D(5, 4, strides=3, padding="same"),
    ),
    "conv2d_odd": _stack(
        (17, 23, 3),
        lambda: L.Conv2D(8, (3, 5), strides=(2, 3), padding="same"),
        lambda: L.Conv2D(8, (2, 4), padding="same", dilation_rate=(2, 1)),
        lambda: L.Conv2D(6, 3, strides=2, padding="valid"),
    ),
    "conv2d_groups": _stack((16, 16, 8), lambda: L.Conv2D(16, 3, groups=4, padding="same")),
    "conv3d": _stack(
        (9, 11, 7, 2), lambda: L.Conv3D(4, (3, 2, 3), strides=(2, 1, 2), padding="same"), lambda: L.MaxPooling3D(2)
    ),
    "conv2dT_same": _stack((7, 9, 4), lambda: L.Conv2DTranspose(5, 3, strides=2, padding="same")),
    "conv2dT_valid_outpad": _stack(
        (7, 9, 4), lambda: L.Conv2DTranspose(5, (4, 3), strides=(3, 2), padding="valid", output_padding=(1, 1))
    ),
    "conv2dT_even": _stack((7, 9, 4), lambda: L.Conv2DTranspose(5, 4, strides=3, padding="same")),
    "conv1dT": _stack((13, 4), lambda: L.Conv1DTranspose(5, 4, strides=2, padding="same")),
    "conv3dT": _stack((5, 6, 4, 3), lambda: L.Conv3DTranspose(4, 3, strides=2, padding="same")),
    "depthwise": _stack((15, 15, 6), lambda: L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)),
    "depthwise1d": _stack((15, 6), lambda: L.DepthwiseConv1D(3, strides=2, padding="same")),
    "separable": _stack(
        (15, 18, 6),
        lambda: L.SeparableConv2D(8, 3, strides=2, padding="same"),
        lambda: L.SeparableConv2D(8, (3, 2), padding="valid", dilation_rate=(2, 2)),
    ),
    "up_nearest": _stack((5, 7, 3), lambda: L.UpSampling2D((2, 3), interpolation="nearest")),
    "up_bilinear": _stack((5, 7, 3), lambda: L.UpSampling2D(2, interpolation="bilinear")),
    "up_bicubic": _stack((5, 7, 3), lambda: L.UpSampling2D(2, interpolation="bicubic")),
    "resizing": _stack((9, 13, 3), lambda: L.Resizing(6, 8)),
    "groupnorm": _stack((8, 8, 12), lambda: L.GroupNormalization(4)),
    "layernorm": _stack((8, 12), L.LayerNormalization),
    "layernorm_axes": _stack((8, 6, 12), lambda: L.LayerNormalization(axis=(1, 2))),
    "rmsnorm": _stack((8, 12), L.RMSNormalization),
    "unitnorm_batchnorm": _stack((8, 12), L.BatchNormalization, L.UnitNormalization),
    "pools": _stack(
        (15, 17, 3),
        lambda: L.AveragePooling2D(3, strides=2, padding="same"),
        lambda: L.MaxPooling2D((3, 2), strides=(2, 1), padding="same"),
        L.GlobalMaxPooling2D,
    ),
    "acts": _stack(
        (20,),
        lambda: L.Dense(16, activation="selu"),
        L.PReLU,
        lambda: L.Dense(16, activation="hard_sigmoid"),
        lambda: L.Dense(8, activation="softplus"),
        L.LeakyReLU,
        lambda: L.Dense(8, activation="mish"),
        lambda: L.Dense(8, activation="swish"),
        L.Softmax,
    ),
    "timedist": _stack(
        (5, 12, 12, 3),
        lambda: L.TimeDistributed(L.Conv2D(4, 3)),
        lambda: L.TimeDistributed(L.Flatten()),
        lambda: L.LSTM(6),
    ),
    "shape_ops": _stack(
        (6, 8),
        lambda: L.Permute((2, 1)),
        lambda: L.Reshape((4, 12)),
        lambda: L.Cropping1D(1),
        lambda: L.ZeroPadding1D(2),
        L.Flatten,
    ),
    "multi_io": _multi,
}

NAMES = (*NETS, *APPLICATIONS)


def built(name: str) -> Any:
    """A model of this name, the same at every call."""
    keras.utils.set_random_seed(0)
    model = NETS[name]() if name in NETS else _application(name)
    random = np.random.default_rng(0)
    for variable in model.weights:
        value = np.asarray(variable)
        moved = (
            value * (1 + random.uniform(-0.3, 0.3, value.shape))
            if "variance" in variable.path
            else value + random.normal(0, 0.05 if value.ndim == 1 else 0.01, value.shape)
        )
        variable.assign(moved.astype(value.dtype))
    for layer in model._flatten_layers():  # noqa: SLF001 - nested ones too
        if isinstance(layer, L.Normalization):
            layer.finalize_state()  # it computes with a copy of its statistics; a reloaded file would have the new ones
    return model


def __getattr__(name: str) -> Callable[[], Any]:
    """The factory `build_NAME`."""
    wanted = name.removeprefix("build_")
    if wanted not in NAMES or wanted == name:
        raise AttributeError(name)
    return lambda: built(wanted)

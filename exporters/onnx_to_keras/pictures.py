"""ImageDecoder by TensorFlow's own decoders, which a SavedModel holds and a file of Keras' operations cannot."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import KerasTensor, ops

from exporters.onnx_to_keras import tensorflow_calls
from exporters.onnx_to_keras.operand import Scope
from exporters.onnx_to_keras.table import KERAS

_LUMA = (19595, 38470, 7471)  # of red, green and blue, in 65536ths


@KERAS.op("ImageDecoder", since=20)
def image_decoder(encoded_stream: KerasTensor, pixel_format: str = "RGB", scope: Scope | None = None) -> KerasTensor:
    """(height, width, channels) of a file's bytes: BMP, JPEG, PNG and WebP; others are refused when they come."""
    assert scope is not None
    tensorflow_calls.require(scope, "ImageDecoder")

    def decode(tensors: list[Any]) -> Any:
        image = _coloured(_as_string(tensors[0]))
        if pixel_format == "Grayscale":
            parts = tf.reduce_sum(tf.cast(image, tf.int32) * tf.constant(_LUMA), -1, keepdims=True)
            return tf.cast(tf.bitwise.right_shift(parts + 32768, 16), tf.uint8)
        return tf.reverse(image, [-1]) if pixel_format == "BGR" else image

    return tensorflow_calls.TensorFlowCall(decode, [], scope.name("decoder"))([ops.cast(encoded_stream, "int32")])


def _as_string(data: Any) -> Any:
    """The bytes of a vector as one string."""
    table = tf.constant([bytes([number]) for number in range(256)])
    return tf.strings.reduce_join(tf.gather(table, data))


def _coloured(data: Any) -> Any:
    """Three channels, whatever the file has, without what shines through."""

    def jpeg() -> Any:
        return tf.io.decode_jpeg(data, 3, dct_method="INTEGER_ACCURATE")

    def webp() -> Any:
        return tf.io.decode_webp(data, 3)[0]  # of several pictures, which a file may hold, the first

    def others() -> Any:
        return tf.io.decode_image(data, 3, expand_animations=False)

    is_webp = tf.equal(tf.strings.substr(data, 8, 4), b"WEBP")
    is_jpeg = tf.equal(tf.strings.substr(data, 0, 2), b"\xff\xd8")
    image = tf.case([(is_jpeg, jpeg), (is_webp, webp)], default=others)
    image.set_shape([None, None, 3])
    return image

"""Colours of images between red, green, blue and hue, saturation, value: forms in the way of `arithmetic`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporters.graph.from_tensorflow.writer import Writer


def _channels(write: Writer, image: str) -> list[str]:
    """The three channels, each with a last axis of size 1."""
    return [write("Gather", image, write.constant(np.array([index], np.int64)), axis=-1) for index in range(3)]


def _to_hsv(write: Writer, image: str) -> str:
    """Hue counts in turns of the circle, from 0 to 1; a grey has hue 0, and black saturation 0."""
    red, green, blue = _channels(write, image)
    zero = write.like(image, 0)
    value = write("Max", red, green, blue)
    spread = write("Sub", value, write("Min", red, green, blue))
    saturation = write("Where", write("Greater", value, zero), write("Div", spread, value), zero)
    sixth = write("Div", write.like(image, 1 / 6), spread)

    def hue(first: str, second: str, turn: float) -> str:
        return write("Add", write("Mul", sixth, write("Sub", first, second)), write.like(image, turn))

    of_green = write("Where", write("Equal", green, value), hue(blue, red, 2 / 6), hue(red, green, 4 / 6))
    turned = write("Where", write("Equal", red, value), hue(green, blue, 0), of_green)
    positive = write("Where", write("Less", turned, zero), write("Add", turned, write.like(image, 1)), turned)
    coloured = write("Where", write("Greater", spread, zero), positive, zero)
    return write("Concat", coloured, saturation, value, axis=-1)


def _to_rgb(write: Writer, image: str) -> str:
    hue, saturation, value = _channels(write, image)
    zero, one = write.like(image, 0), write.like(image, 1)
    turned = write("Mul", hue, write.like(image, 6))

    def channel(centre: float, offset: float, sign: float) -> str:
        far = write("Abs", write("Sub", turned, write.like(image, centre)))
        share = write("Add", write("Mul", far, write.like(image, sign)), write.like(image, offset))
        share = write("Min", write("Max", share, zero), one)
        grey = write("Sub", one, saturation)
        return write("Mul", write("Add", grey, write("Mul", saturation, share)), value)

    return write("Concat", channel(3, -1, 1), channel(2, 2, -1), channel(4, 2, -1), axis=-1)


def _saturated(write: Writer, image: str, factor: str) -> str:
    """tf2onnx puts the channels back in a wrong order where all three have moved."""
    hue, saturation, value = _channels(write, _to_hsv(write, image))
    stronger = write("Mul", saturation, _of_dtype(write, factor, image))
    bounded = write("Min", write("Max", stronger, write.like(image, 0)), write.like(image, 1))
    return _to_rgb(write, write("Concat", hue, bounded, value, axis=-1))


def _hue_turned(write: Writer, image: str, delta: str) -> str:
    hue, saturation, value = _channels(write, _to_hsv(write, image))
    turned = write("Add", hue, _of_dtype(write, delta, image))
    within = write("Sub", turned, write("Floor", turned))
    return _to_rgb(write, write("Concat", within, saturation, value, axis=-1))


def _of_dtype(write: Writer, number: str, image: str) -> str:
    """`number`, which is float32 whatever the image is, in the image's dtype."""
    same = write.dtype(number) == write.dtype(image)
    return number if same else write("Cast", number, to=write.graph.get_dtype(image))


FORMS: dict[str, Callable[..., str | None]] = {
    "AdjustHue": _hue_turned,
    "AdjustSaturation": _saturated,
    "HSVToRGB": _to_rgb,
    "RGBToHSV": _to_hsv,
}

"""Devices as TensorFlow sees them; Keras and the low-level trainer share them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from toolkit.errors import DeviceMissing

_NAMES = {"cpu": "/CPU:0", "cuda": "/GPU:0"}


def scope(device: str) -> Any:
    """A context in which operations run on "cpu" or "cuda". Raises DeviceMissing where there is none."""
    if device == "cuda" and not tf.config.list_physical_devices("GPU"):
        built = tf.test.is_built_with_cuda()
        missing = (
            "TensorFlow sees no NVIDIA GPU, or a CUDA library of it cannot be loaded"
            if built
            else "this TensorFlow is built without CUDA"
        )
        raise DeviceMissing(
            f"{missing} (tensorflow {tf.__version__})",
            where="--device cuda",
            hint="Train with --device cpu, or run `toolkit doctor`.",
        )
    return tf.device(_NAMES[device])

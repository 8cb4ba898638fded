"""The precisions that an export can be asked for, which formats hold them, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.errors import BadInput

FULL = "fp32"
PRECISIONS = (FULL, "fp16", "bf16", "int8")

_KERAS = ("savedmodel", "hdf5", "keras")
_NO_KERAS = {
    "bf16": ("TensorFlow's CPU kernels have no convolution in bfloat16", "--precision fp16, or --to onnx,torchscript"),
    "int8": ("Keras holds 8-bit weights as 32-bit integers, four times their size", "--to tflite, or --to onnx"),
}
# (format, precision) -> why it cannot be, and what can.
_REFUSED = {(form, precision): why for form in _KERAS for precision, why in _NO_KERAS.items()} | {
    ("tflite", "bf16"): ("LiteRT's operators take no bfloat16", "--precision fp16"),
}
HOW = {
    ("onnx", "fp16"): "weights and arithmetic in float16",
    ("onnx", "bf16"): "weights stored in bfloat16, computed in float32",
    ("onnx", "int8"): "QDQ: 8-bit weights and activations of convolutions and products, calibrated",
    ("torchscript", "fp16"): "weights and arithmetic in float16",
    ("torchscript", "bf16"): "weights and arithmetic in bfloat16",
    ("torchscript", "int8"): "8-bit weights, activations rounded to 8 bits, computed in float32",
    ("savedmodel", "fp16"): "weights and arithmetic in float16",
    ("hdf5", "fp16"): "weights and arithmetic in float16",
    ("keras", "fp16"): "weights and arithmetic in float16",
    ("tflite", "fp16"): "weights stored in float16, computed in float32 where the device has no float16",
    ("tflite", "int8"): "8-bit weights and activations, calibrated by LiteRT's own converter",
}


def check(precision: str, formats: Sequence[str] = (), *, where: str = "--precision") -> str:
    """`precision` itself. Raises BadInput for a name that is none, and for a format that cannot hold it."""
    if precision not in PRECISIONS:
        raise BadInput(f"'{precision}' is no precision", where=where, hint=f"Choose from {', '.join(PRECISIONS)}.")
    for form in formats:
        if (form, precision) in _REFUSED:
            why, instead = _REFUSED[form, precision]
            raise BadInput(f"{form} cannot hold {precision}: {why}", where=where, hint=f"Ask for {instead}.")
    return precision


def require_plain(signature_dtypes: Sequence[str], precision: str) -> None:
    """Raise BadInput where a model's own floats are not float32: there is no telling what was meant to be reduced."""
    other = [dtype for dtype in signature_dtypes if dtype in ("float64", "float16", "bfloat16")]
    if precision != FULL and other:
        raise BadInput(
            f"the model takes or returns {other[0]}; --precision {precision} starts from a float32 model",
            where="--precision", hint="Leave it out: the file then has the model's own precision.",
        )  # fmt: skip

"""Operators on one tensor, element by element, that are no activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import KerasTensor, ops

from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator

# ONNX operator -> since, the input's name, the operation
UNARY: dict[str, tuple[int, str, Callable[[Any], Any]]] = {
    "Abs": (1, "X", ops.absolute),
    "Neg": (1, "X", ops.negative),
    "Sqrt": (1, "X", ops.sqrt),
    "Reciprocal": (1, "X", ops.reciprocal),
    "Exp": (1, "input", ops.exp),
    "Log": (1, "input", ops.log),
    "Erf": (9, "input", ops.erf),
    "Ceil": (1, "X", ops.ceil),
    "Floor": (1, "X", ops.floor),
    "Round": (11, "X", ops.round),
    "Sign": (9, "input", ops.sign),
    "Sin": (7, "input", ops.sin),
    "Cos": (7, "input", ops.cos),
    "Tan": (7, "input", ops.tan),
    "Asin": (7, "input", ops.arcsin),
    "Acos": (7, "input", ops.arccos),
    "Atan": (7, "input", ops.arctan),
    "Sinh": (9, "input", ops.sinh),
    "Cosh": (9, "input", ops.cosh),
    "Asinh": (9, "input", ops.arcsinh),
    "Acosh": (9, "input", ops.arccosh),
    "Atanh": (9, "input", ops.arctanh),
}


def _unary(name: str, argument: str, operation: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function of one parameter, which bears the name that ONNX gives it."""
    scope: dict[str, Any] = {"operation": operation, "KerasTensor": KerasTensor}
    exec(f"def function({argument}: KerasTensor) -> KerasTensor:\n    return operation({argument})", scope)  # noqa: S102 - our own names
    function: Callable[..., Any] = scope["function"]
    function.__name__ = name.lower()
    return function


for _name, (_since, _argument, _operation) in UNARY.items():
    KERAS.op(_name, since=_since, layout="elementwise")(_unary(_name, _argument, _operation))


@KERAS.op("Identity", since=1, layout="elementwise")
def identity(input: KerasTensor) -> KerasTensor:
    return input


@KERAS.op("Dropout", since=1, layout="elementwise")
def dropout_1(data: KerasTensor, ratio: float = 0.5, is_test: int = 0) -> KerasTensor:
    """ONNX Dropout at inference, which is how opsets below 12 are run here."""
    return data


def _inference(ratio: float, training_mode: bool) -> None:
    if training_mode and ratio:
        raise UnsupportedOperator(
            "Dropout in training mode, which draws at random even at inference, has no Keras form"
        )


@KERAS.op("Dropout", since=12, layout="elementwise")
def dropout(data: KerasTensor, ratio: float = 0.5, training_mode: bool = False, seed: int | None = None) -> KerasTensor:
    """ONNX Dropout, which drops nothing at inference."""
    _inference(ratio, training_mode)
    return data


@KERAS.op("Cast", since=6, layout="elementwise")
def cast(input: KerasTensor, to: str, saturate: int = 1, round_mode: str = "up") -> KerasTensor:
    return ops.cast(input, to)


@KERAS.op("BitCast", since=26, layout="elementwise")
def bit_cast(input: KerasTensor, to: str) -> KerasTensor:
    """ONNX BitCast between types of one width: the bits stay as they are."""
    if "bool" in (input.dtype, to):  # a byte of 0 or 1
        return ops.cast(ops.view(input, "uint8") if input.dtype not in ("bool", "uint8") else input, to)
    return ops.view(input, to)


@KERAS.op("CastLike", since=15)
def cast_like(input: KerasTensor, target_type: KerasTensor, saturate: int = 1, round_mode: str = "up") -> KerasTensor:
    return ops.cast(input, target_type.dtype)


@KERAS.op("Dropout", since=12, outputs=2)
def dropout_with_mask(
    data: KerasTensor, ratio: float = 0.5, training_mode: bool = False, seed: int | None = None
) -> tuple[KerasTensor, KerasTensor]:
    _inference(ratio, training_mode)
    return data, ops.ones_like(data, dtype="bool")

"""8-bit ONNX by ONNX Runtime's static quantiser: QDQ pairs, scales per output channel, ranges from given data."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# What is computed in 8 bits: products and convolutions, and what stands between them without changing the range much.
# Normalisations, exponentials, softmax, embeddings and recurrent cells stay in float32.
OPERATORS = ("Add", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool", "LeakyRelu",
             "MatMul", "MaxPool", "Relu")  # fmt: skip


def quantise(source: Path, target: Path, batches: Sequence[Mapping[str, Array]]) -> None:
    """Write `target` from the float32 graph at `source`, with ranges between the least and largest value seen."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime left it without types
        def __init__(self) -> None:
            self._left: Iterator[Mapping[str, Array]] = iter(batches)

        def get_next(self) -> Mapping[str, Array] | None:
            return next(self._left, None)

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises to run a preparation that was run
    try:
        quantization.quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    finally:
        root.setLevel(level)

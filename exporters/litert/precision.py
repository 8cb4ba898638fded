"""Ask LiteRT's converter for fewer bits: weights in float16, or 8-bit integers with ranges from given data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exporters.options import ExportOptions
from exporters.precision import calibration
from toolkit.signature import Signature, identifiers


def ask(tf: Any, converter: Any, signature: Signature, options: ExportOptions) -> None:
    """Set the converter up for `options.precision`. Inputs and outputs stay float32.

    For int8 `options.calibration` names the data. An operator without an 8-bit kernel stays in float32.
    """
    if options.precision == "fp32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if options.precision == "fp16":
        converter.target_spec.supported_types = [tf.float16]
        return
    assert options.calibration is not None, "the exporter has put the data there"
    converter.representative_dataset = _samples(Path(options.calibration), signature)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]


def _samples(path: Path, signature: Signature) -> Callable[[], Iterator[tuple[str, dict[str, Any]]]]:
    names = identifiers(signature.input_names)

    def samples() -> Iterator[tuple[str, dict[str, Any]]]:
        for batch in calibration.load(path):
            yield "serving_default", {names[name]: array for name, array in batch.items()}

    return samples

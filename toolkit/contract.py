"""What an app must do around a model: how an image becomes its input, and which class an index means.

The contract travels with every exported file (ONNX metadata, TorchScript extra files, SavedModel assets, HDF5
attributes) and in the bundle's manifest. It is data; `toolkit.runtime.image` carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from toolkit.pipeline import Pipeline, from_table


@dataclass(frozen=True)
class Preprocessing:
    """From an image file to one sample of a model's input.

    The image is converted to `mode`, resized to `size` with `resample`, divided by `scale` and normalised as
    (x - mean) / std per channel, laid out as `layout`, and reshaped to `shape` (without the batch dimension).
    """

    input: str
    mode: str = "L"  # Pillow's name of the colour space: "L" is grey, "RGB" is colour
    size: tuple[int, int] = (28, 28)  # height, width
    resample: str = "bilinear"
    scale: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str = "HW"  # "HW", "HWC" or "CHW"
    shape: tuple[int, ...] = (28, 28)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Preprocessing:
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return Preprocessing(**fields)


@dataclass(frozen=True)
class Contract:
    """Everything beside the signature that an app must know to use a model.

    `scores` names the output whose largest entry is the predicted class; `activation` says what its values are
    ("logits", "sigmoid", "softmax"). `augmentation` records what training did to its images and prediction must not.
    `pipeline` makes the model's input of raw pictures; where it is `baked`, the file does that itself.
    """

    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    scores: str | None = None
    activation: str | None = None
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    pipeline: Pipeline | None = None
    baked: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "preprocessing": asdict(self.preprocessing) if self.preprocessing else None,
            "labels": list(self.labels),
            "scores": self.scores,
            "activation": self.activation,
            "augmentation": dict(self.augmentation),
            **({"pipeline": self.pipeline.to_json(), "baked": self.baked} if self.pipeline else {}),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Contract:
        preprocessing = data.get("preprocessing")
        return Contract(
            Preprocessing.from_json(preprocessing) if preprocessing else None,
            tuple(data.get("labels", ())),
            data.get("scores"),
            data.get("activation"),
            dict(data.get("augmentation", {})),
            from_table(data["pipeline"], "contract") if data.get("pipeline") else None,
            bool(data.get("baked", False)),
        )

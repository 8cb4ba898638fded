"""torchvision's detectors with random weights that detect something, on small pictures.

As they are built, every anchor gets nearly the same score, so that rounding alone orders them and no two runs agree.
Here each layer is scaled until it gives values of spread one on a random picture, as it would after training.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_SMALL = {"min_size": 64, "max_size": 64}
_TEN, _TEN_BOXES = {"detections_per_img": 10}, {"box_detections_per_img": 10}
# Settings of each detector, and the side of the pictures that it takes.
DETECTORS: dict[str, tuple[dict[str, Any], int]] = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": (_SMALL | _TEN_BOXES, 64),
    "retinanet_resnet50_fpn": (_SMALL | _TEN, 64),
    "fcos_resnet50_fpn": (_SMALL | _TEN, 64),
    "ssd300_vgg16": (_TEN, 300),
    "ssdlite320_mobilenet_v3_large": (_TEN, 320),
    "maskrcnn_resnet50_fpn": (_SMALL | _TEN_BOXES, 64),
    "keypointrcnn_resnet50_fpn": (_SMALL | _TEN_BOXES | {"num_classes": 2}, 64),
}


def build(name: str) -> tuple[nn.Module, tuple[list[Tensor]]]:
    """The detector and an example of its input: a list of one picture, (3, side, side)."""
    from torchvision.models import get_model

    settings, side = DETECTORS[name]
    torch.manual_seed(0)
    model = get_model(name, weights=None, weights_backbone=None, **{"num_classes": 6, **settings}).eval()
    pictures = [kind(3, side, side) for kind in (torch.randn, torch.rand)]
    _enliven(model, pictures)
    return model, ([pictures[1]],)


def _enliven(model: nn.Module, pictures: list[Tensor]) -> None:
    """Give every layer's outputs a mean of zero and a spread of one, in the order in which they run."""
    seen = set()

    def scaled(layer: Any, _: Any, given: Tensor) -> Tensor | None:
        if layer in seen or given.numel() < 2 or not given.std() > 0:
            return None
        seen.add(layer)
        mean, spread = given.mean(), given.std()
        layer.weight.div_(spread)
        if layer.bias is None:
            return given / spread
        layer.bias.sub_(mean).div_(spread)
        return (given - mean) / spread

    hooks = [
        layer.register_forward_hook(scaled) for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        model(pictures)
    for hook in hooks:
        hook.remove()


def __getattr__(name: str) -> Any:
    """The factory of a detector, by its name in torchvision."""
    if name not in DETECTORS:
        raise AttributeError(name)
    return partial(build, name)

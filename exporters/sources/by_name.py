"""Models of a library by their name there: `timm:resnet18`, `torchvision:resnet18`, with settings after a "?".

The library's own defaults hold but for the weights, which are asked for: `timm:NAME` is the pretrained model. What a
factory is named for (`--factory timm:resnet18?num_classes=10`) gets its weights from the user's file instead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from exporters.sources import factory
from exporters.sources.source import Asked, Kind, Source
from exporters.sources.torch_module import TorchModuleRunner
from toolkit.causes import raised, said
from toolkit.errors import BadInput, FactoryFailed, RuntimeMissing

KINDS = (
    Kind("timm", "torch", "exporters.sources.by_name:open_model",
         "a model of the package timm, with its weights or without", "timm:resnet18[?pretrained=False]"),
    Kind("torchvision", "torch", "exporters.sources.by_name:open_model",
         "a model of the package torchvision, with its weights or without", "torchvision:resnet18[?weights=None]"),
)  # fmt: skip

_NAME = re.compile(r"(?P<library>timm|torchvision):(?P<model>[\w./-]+)(\?(?P<settings>.*))?")
_SIDE = 224  # what classifiers of pictures take where nothing else is said


def probe(source: Source, asked: Asked) -> Source | None:
    """A text of that form."""
    match = _NAME.fullmatch(asked.text)
    if match is None:
        return None
    _settings(match["settings"], asked.text)
    return replace(source, kind=match["library"], factory=asked.text)


def open_model(source: Source, device: str, threads: int | None) -> TorchModuleRunner:
    text = str(source.factory)
    return TorchModuleRunner(source, lambda _: build(text, pretrained=True), device, threads)


def build_any(text: str, search: Sequence[str]) -> tuple[Any, Any]:
    """What `--factory` names, be it the user's callable or a library's model: module and example inputs or None."""
    return build(text, pretrained=False) if _NAME.fullmatch(text) else factory.build(text, search)


def build(text: str, *, pretrained: bool) -> tuple[Any, Any]:
    """The model of that name and an example input. Raises RuntimeMissing, BadInput or FactoryFailed."""
    match = _NAME.fullmatch(text)
    assert match is not None
    library = _LIBRARIES[match["library"]]
    settings = {**({library.weights: library.wanted} if pretrained else {}), **_settings(match["settings"], text)}
    try:
        return library.build(match["model"], settings)
    except ModuleNotFoundError as error:
        raise RuntimeMissing(
            f"the package '{error.name}' is not installed", where=text, hint=f"pip install {match['library']}"
        ) from error
    except OSError as error:
        raise FactoryFailed(
            f"its weights could not be fetched ({said(error)})",
            where=text,
            hint=f"Without them, random: {match['library']}:{match['model']}?{library.weights}={library.unwanted}; or"
            f" from a file of yours: WEIGHTS --factory {match['library']}:{match['model']}",
        ) from error
    except Exception as error:
        raise FactoryFailed(f"{match['library']} raised {raised(error)}", where=text) from error


def _settings(text: str | None, where: str) -> dict[str, Any]:
    """`num_classes=10&in_chans=1` with Python's own literals. Raises BadInput for another form."""
    settings = {}
    for part in (text or "").split("&") if text else ():
        name, _, value = part.partition("=")
        try:
            if not name.isidentifier():
                raise ValueError
            settings[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise BadInput(
                f"'{part}' is no setting", where=where, hint="Write NAME=VALUE, as in ?num_classes=10&in_chans=1."
            ) from None
    return settings


def _timm(name: str, settings: Mapping[str, Any]) -> tuple[Any, Any]:
    import timm
    import torch

    model = timm.create_model(name, **settings)
    config = timm.data.resolve_model_data_config(model)
    return model, torch.zeros(2, *config["input_size"])


def _torchvision(name: str, settings: Mapping[str, Any]) -> tuple[Any, Any]:
    import torch
    import torchvision

    model = torchvision.models.get_model(name, **settings)
    weights = getattr(torchvision.models.get_model_weights(name), "DEFAULT", None)
    crop = getattr(weights.transforms(), "crop_size", None) if weights is not None else None
    side = crop[0] if crop else _SIDE
    if type(model).__module__.startswith("torchvision.models.detection."):
        return model, ([torch.zeros(3, side, side)],)  # a list of pictures, and a list of what is found in each
    return model, torch.zeros(2, 3, side, side)


@dataclass(frozen=True)
class _Library:
    """How a library builds a model; `weights` is its setting for pretrained weights."""

    build: Callable[[str, Mapping[str, Any]], tuple[Any, Any]]
    weights: str
    wanted: Any
    unwanted: Any


_LIBRARIES = {
    "timm": _Library(_timm, "pretrained", wanted=True, unwanted=False),
    "torchvision": _Library(_torchvision, "weights", wanted="DEFAULT", unwanted=None),
}

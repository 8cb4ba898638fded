"""PyTorch models to convert: small nets with one difficulty each, and members of torchvision's, timm's, Hugging Face's.

`build_NAME` is a factory for each name of `ENTRIES`. Weights are random, and BatchNorm's statistics are moved off the
zeros and ones of new layers: a converter could lose them unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as in PyTorch's own examples


class FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.norm, self.drop = nn.Linear(784, 256), nn.BatchNorm1d(256), nn.Dropout(0.5)
        self.out = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.out(self.drop(F.relu(self.norm(self.hidden(x))))))


def _twice(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = _twice(3, width), _twice(width, 2 * width), _twice(2 * width, 4 * width)
        self.pool = nn.MaxPool2d(2)
        self.raise2, self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2), _twice(4 * width, 2 * width)
        self.raise1, self.up1 = nn.ConvTranspose2d(2 * width, width, 2, stride=2), _twice(2 * width, width)
        self.out = nn.Conv2d(width, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        first = self.down1(image)
        second = self.down2(self.pool(first))
        x = self.raise2(self.bottom(self.pool(second)))
        x = self.raise1(self.up2(torch.cat([x, second], 1)))
        return self.out(self.up1(torch.cat([x, first], 1)))


class Recurrent(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cells = getattr(nn, kind)(16, 32, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cells(x)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(x).mean(1))


def _conv1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 5, stride=2, padding=2, groups=4), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 5),
    )  # fmt: skip


def _conv3d() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(2, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip


class Warped(nn.Module):
    """Samples its features on a grid that it computes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.place = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 6)

    def forward(self, image: Tensor) -> Tensor:
        features = self.features(image)
        place = self.place(features.mean((2, 3))).view(-1, 2, 3)
        grid = F.affine_grid(place, list(features.shape), align_corners=False)
        return F.grid_sample(features, grid, align_corners=False)


class Sampled(nn.Module):
    def forward(self, image: Tensor, grid: Tensor) -> Tensor:
        return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class Square(nn.Module):
    """Every axis has the same size, and operators work along all of them: what guesses the layout goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.line, self.out = nn.Linear(16, 16), nn.Linear(4 * 32 * 32, 7)
        self.shuffle = nn.PixelShuffle(2)
        self.offset = nn.Parameter(torch.randn(16, 1, 16))

    def forward(self, image: Tensor) -> Tensor:
        x = self.line(F.relu(self.first(image)) + self.offset)
        x = x.softmax(1) + x.cumsum(2)
        x = x.reshape(-1, 4, 4, 16, 16).transpose(1, 2).reshape(-1, 16, 16, 16)
        x = self.grouped(x)
        x = torch.einsum("bchw,bcwk->bchk", x, x.transpose(2, 3))
        return self.out(torch.flatten(self.shuffle(x), 1))


class Padded(nn.Module):
    """Paddings and pools of every kind: uneven, reflected, ceiling, with and without the padding counted."""

    def __init__(self) -> None:
        super().__init__()
        self.strided = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.dilated = nn.Conv2d(8, 8, 3, dilation=2, padding=2, groups=8)
        self.raised = nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1)
        self.largest = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        self.mean = nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)
        self.mean_of_all = nn.AvgPool2d(3, 2, padding=1, count_include_pad=True)

    def forward(self, image: Tensor) -> Tensor:
        x = F.pad(self.dilated(F.relu(self.strided(image))), (1, 2, 0, 3), mode="reflect")
        x = self.largest(F.pad(self.raised(x), (1, 0, 2, 0)) + 0.1)
        x = torch.cat([self.mean(x), self.mean_of_all(x)], 1)
        return F.interpolate(x, scale_factor=2, mode="nearest")


class Several(nn.Module):
    """Two inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.features = nn.Linear(8, 16), nn.Conv2d(3, 16, 3)

    def forward(self, image: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.scale(vector)
        scaled = self.features(image) * scale[:, :, None, None]
        return scaled, scaled.mean((2, 3)) + scale


class Segmentation(nn.Module):
    """torchvision's models return a dict; its first entry is what they are for."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model(image)["out"]


def _library(name: str) -> Any:
    """torchvision, or a library that imports it: only with the schemas that its own library would have declared."""
    import_module("benchmarks.torchvision_schemas")
    return import_module(name)


class Bert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        library = _library("transformers")
        sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
        config = library.BertConfig(vocab_size=500, max_position_embeddings=64, attn_implementation="sdpa", **sizes)
        self.model = library.BertModel(config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


class Gpt2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        library = _library("transformers")
        config = library.GPT2Config(vocab_size=500, n_positions=64, n_embd=64, n_layer=2, n_head=4, use_cache=False)
        self.model = library.GPT2LMHeadModel(config)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, use_cache=False).logits


@dataclass(frozen=True)
class Entry:
    """A model and its inputs. `largest` bounds the integers of an input: then real data goes with the model."""

    make: Callable[[], nn.Module]
    inputs: tuple[str, ...]
    largest: Mapping[str, int] = field(default_factory=dict)


_FREE = "image:float32[batch,3,height,width]"


def _fixed(height: int, width: int | None = None) -> str:
    return f"image:float32[batch,3,{height},{width or height}]"


def _vision(name: str, image: str = _FREE, **options: Any) -> Entry:
    def make() -> nn.Module:
        return _library("torchvision").models.get_model(name, weights=None, **options)

    return Entry(make, (image,))


def _segmentation(name: str) -> Entry:
    vision = _vision(name, weights_backbone=None)
    return Entry(lambda: Segmentation(vision.make()), vision.inputs)


def _timm(name: str, image: str) -> Entry:
    def make() -> nn.Module:
        return _library("timm").create_model(name, pretrained=False)

    return Entry(make, (image,))


ENTRIES: dict[str, Entry] = {
    "ffn": Entry(FeedForward, ("x:float32[batch,784]",)),
    "seq28": Entry(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10)),
        ("x:float32[batch,28,28]",),
    ),
    "lstm": Entry(lambda: Recurrent("LSTM"), ("x:float32[batch,time,16]",)),
    "gru": Entry(lambda: Recurrent("GRU"), ("x:float32[batch,time,16]",)),
    "rnn": Entry(lambda: Recurrent("RNN"), ("x:float32[batch,time,16]",)),
    "tenc": Entry(Encoder, ("x:float32[batch,time,64]",)),
    "bert_tiny": Entry(
        Bert,
        ("input_ids:int64[batch,time<=64]", "attention_mask:int64[batch,time<=64]"),
        {"input_ids": 499, "attention_mask": 1},
    ),
    "gpt2_tiny": Entry(Gpt2, ("input_ids:int64[batch,time<=64]",), {"input_ids": 499}),
    "conv1d": Entry(_conv1d, ("x:float32[batch,4,time]",)),
    "conv3d": Entry(_conv3d, ("x:float32[batch,2,depth,height,width]",)),
    "grid": Entry(Warped, (_FREE,)),
    "grid2": Entry(Sampled, (_FREE, "grid:float32[batch,rows,columns,2]")),
    "tricky": Entry(Square, (_fixed(16),)),
    "pads": Entry(Padded, (_FREE,)),
    "multi": Entry(Several, (_FREE, "vector:float32[batch,8]")),
    "unet": Entry(UNet, (_fixed(64),)),
    "unet_wide": Entry(UNet, (_fixed(48, 80),)),
    "resnet18": _vision("resnet18"),
    "resnet50": _vision("resnet50"),
    "mobilenet_v2": _vision("mobilenet_v2"),
    "mobilenet_v3_small": _vision("mobilenet_v3_small"),
    "efficientnet_b0": _vision("efficientnet_b0"),
    "densenet121": _vision("densenet121"),
    "convnext_tiny": _vision("convnext_tiny"),
    "shufflenet_v2_x1_0": _vision("shufflenet_v2_x1_0"),
    "vit_tiny": _timm("vit_tiny_patch16_224", _fixed(224)),
    "swin_t": _vision("swin_t", _fixed(224)),
    "fcn_resnet50": _segmentation("fcn_resnet50"),
    "deeplabv3_mnv3": _segmentation("deeplabv3_mobilenet_v3_large"),
    "deeplabv3_resnet50": _segmentation("deeplabv3_resnet50"),
    "lraspp_mnv3": _segmentation("lraspp_mobilenet_v3_large"),
    "squeezenet1_1": _vision("squeezenet1_1"),
    "mnasnet0_5": _vision("mnasnet0_5"),
    "regnet_x_400mf": _vision("regnet_x_400mf"),
    "regnet_y_400mf": _vision("regnet_y_400mf"),
    "shufflenet_v2_x0_5": _vision("shufflenet_v2_x0_5"),
    "resnext50_32x4d": _vision("resnext50_32x4d"),
    "wide_resnet50_2": _vision("wide_resnet50_2"),
    "googlenet": _vision("googlenet", init_weights=False, aux_logits=False),
    "inception_v3": _vision("inception_v3", _fixed(299), init_weights=False),
    "efficientnet_v2_s": _vision("efficientnet_v2_s"),
    "mobilenet_v3_large": _vision("mobilenet_v3_large"),
    "alexnet": _vision("alexnet", _fixed(224)),
    "vgg11": _vision("vgg11", _fixed(224)),
    "vit_b_16": _vision("vit_b_16", _fixed(224)),
    "swin_v2_t": _vision("swin_v2_t", _fixed(256)),
    "maxvit_t": _vision("maxvit_t", _fixed(224)),
}


def built(name: str) -> nn.Module:
    """A model of this name in evaluation mode, the same at every call."""
    torch.manual_seed(0)
    model = ENTRIES[name].make().eval()
    random = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            _move_statistics(module, random)
    return model.requires_grad_(False)


def _move_statistics(norm: Any, random: torch.Generator) -> None:
    with torch.no_grad():
        for tensor in (norm.running_mean, norm.bias):
            tensor.copy_(torch.randn(tensor.shape, generator=random) * 0.1)
        for tensor in (norm.running_var, norm.weight):
            tensor.copy_(torch.rand(tensor.shape, generator=random) * 0.5 + 0.75)


def __getattr__(name: str) -> Callable[[], Any]:
    """The factory `build_NAME`."""
    wanted = name.removeprefix("build_")
    if wanted not in ENTRIES or wanted == name:
        raise AttributeError(name)
    return lambda: built(wanted)

"""Tables from keys to values.

No postponed annotations here: TorchScript reads those of a class as they are.
"""

import torch
from torch import Tensor, nn

from exporters.onnx_to_torch.ml import DOMAIN
from exporters.onnx_to_torch.table import TORCH


class Encoder(nn.Module):
    """The value of each element's key, or `default`; NaN is a key like any other."""

    keys: Tensor
    values: Tensor
    default: Tensor

    def __init__(self, keys: Tensor, values: Tensor, default: Tensor) -> None:
        super().__init__()
        order = torch.argsort(keys)  # NaN comes last
        self.register_buffer("keys", keys[order])
        self.register_buffer("values", values[order])
        self.register_buffer("default", default.reshape([]))

    def forward(self, x: Tensor) -> Tensor:
        places = torch.clamp(torch.searchsorted(self.keys, x.contiguous()), max=self.keys.shape[0] - 1)
        if x.is_floating_point():
            places = torch.where(torch.isnan(x), torch.full_like(places, self.keys.shape[0] - 1), places)
            found = (self.keys[places] == x) | (torch.isnan(self.keys[places]) & torch.isnan(x))
        else:
            found = self.keys[places] == x
        return torch.where(found, self.values[places], self.default)


@TORCH.op("LabelEncoder", since=4, domain=DOMAIN, layout="module")
def label_encoder(
    X: Tensor | None,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    default_tensor: Tensor | None = None,
    keys_floats: list[float] | None = None,
    keys_int64s: list[int] | None = None,
    keys_strings: list[str] | None = None,
    keys_tensor: Tensor | None = None,
    values_floats: list[float] | None = None,
    values_int64s: list[int] | None = None,
    values_strings: list[str] | None = None,
    values_tensor: Tensor | None = None,
) -> nn.Module:
    """ONNX LabelEncoder from numbers to numbers."""
    keys = keys_tensor if keys_tensor is not None else torch.tensor(keys_int64s or [], dtype=torch.int64)
    if keys_floats is not None:
        keys = torch.tensor(keys_floats, dtype=torch.float32)
    values, default = torch.tensor(values_int64s or [], dtype=torch.int64), torch.tensor(default_int64)
    if values_floats is not None:
        values, default = torch.tensor(values_floats, dtype=torch.float32), torch.tensor(default_float)
    if values_tensor is not None:
        values = values_tensor
        default = default_tensor if default_tensor is not None else _usual(values, default_float, default_int64)
    return Encoder(keys, values, default)


def _usual(values: Tensor, default_float: float, default_int64: int) -> Tensor:
    return torch.tensor(default_float if values.is_floating_point() else default_int64, dtype=values.dtype)


@TORCH.op("LabelEncoder", since=2, domain=DOMAIN, layout="module")
def label_encoder_2(
    X: Tensor | None,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    keys_floats: list[float] | None = None,
    keys_int64s: list[int] | None = None,
    keys_strings: list[str] | None = None,
    values_floats: list[float] | None = None,
    values_int64s: list[int] | None = None,
    values_strings: list[str] | None = None,
) -> nn.Module:
    return label_encoder(
        X,
        default_float,
        default_int64,
        keys_floats=keys_floats,
        keys_int64s=keys_int64s,
        values_floats=values_floats,
        values_int64s=values_int64s,
    )

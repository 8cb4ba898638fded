"""Small models of the usual kinds, exported by both of torch's exporters, with what they predict at several batches."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

BATCHES = (1, 2, 3, 7)


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.bn, self.fc2 = nn.Linear(12, 16), nn.BatchNorm1d(16), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> Any:
        hidden = torch.relu(self.bn(self.fc1(x.flatten(1))))
        hidden = hidden.view(x.shape[0], 4, -1).transpose(1, 2).reshape(x.size(0), -1)
        return torch.sigmoid(self.fc2(hidden)), torch.softmax(hidden, -1)


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.depthwise, self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1, groups=2)
        self.squeeze, self.pool, self.fc = nn.Conv2d(8, 8, 1), nn.MaxPool2d(2), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.stem(x)))
        x = x + self.grouped(nn.functional.silu(self.depthwise(x)))
        x = x * torch.sigmoid(self.squeeze(x.mean((2, 3), keepdim=True)))
        x = torch.cat([x[:, :4], x[:, 4:] * 2], 1)
        return self.fc(torch.flatten(self.pool(x), 1))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(50, 16), nn.Linear(16, 50)
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(self.embedding(x) * 4.0))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 7, 2, batch_first=True, bidirectional=True)
        self.gru, self.out = nn.GRU(14, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> Any:
        y, h = self.gru(self.lstm(x)[0])
        return self.out(y), h


def example(kind: str, batch: int) -> torch.Tensor:
    shapes = {"dense": (3, 4), "cnn": (3, 16, 16), "recurrent": (6, 5)}
    return torch.randint(0, 50, (batch, 6)) if kind == "encoder" else torch.randn(batch, *shapes[kind])


MODELS = {"dense": Dense, "cnn": Convolutional, "encoder": Encoder, "recurrent": Recurrent}
EXPORTERS = ("dynamo", "older")


def write(folder: Path) -> None:
    """`<kind>-<exporter>.onnx` and `<kind>.npz` with `x<batch>` and `y<batch>.<output>` for every model."""
    torch.manual_seed(0)
    for kind, factory in MODELS.items():
        model = factory()
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.normal_(0.5, 0.1)
        model.eval()
        data: dict[str, Any] = {}
        for batch in BATCHES:
            x = example(kind, batch)
            with torch.no_grad():
                y = model(x)
            data[f"x{batch}"] = x.numpy()
            data |= {f"y{batch}.{i}": t.numpy() for i, t in enumerate(y if isinstance(y, tuple) else (y,))}
        np.savez(folder / f"{kind}.npz", **data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about its own exporters
            _export(model, example(kind, 2), folder / kind)


def _export(model: nn.Module, x: torch.Tensor, stem: Path) -> None:
    batch = torch.export.Dim("batch")
    torch.onnx.export(model, (x,), f"{stem}-dynamo.onnx", dynamo=True, dynamic_shapes=({0: batch},), verbose=False)
    torch.onnx.export(
        model, (x,), f"{stem}-older.onnx", dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "batch"}}
    )

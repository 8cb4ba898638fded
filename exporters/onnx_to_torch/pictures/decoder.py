"""ONNX ImageDecoder: which format a file is, and the order of its colours.

Not opened: JPEG that is lossless, hierarchical, coded arithmetically or of four colours; JPEG 2000 of other than eight
bits, of high throughput, with palettes, subsampled components, changes of order or collected headers; PNG of 16 bits or
interlaced; TIFF that is packed; BMP of other than 24 bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures import plain, png
from exporters.onnx_to_torch.pictures.jpeg import container as jpeg
from exporters.onnx_to_torch.pictures.jpeg2000 import container as jpeg2000
from exporters.onnx_to_torch.pictures.webp import container as webp
from exporters.onnx_to_torch.table import TORCH

# By names of ours: PyTorch left types and the last one's name out, and TorchScript would read a comment on a call.
_fork: Any = torch.jit.fork
_wait: Any = torch.jit.wait
_is_scripting: Any = torch.jit.is_scripting  # type: ignore[attr-defined]  # not in its own list


def _kind(data: list[int]) -> str:
    """Which format it is, by its first bytes."""
    kinds = {
        "JPEG": [255, 216],
        "PNG": [137, 80, 78, 71],
        "WebP": [82, 73, 70, 70],
        "JPEG 2000": [0, 0, 0, 12, 106, 80, 32, 32],
        "codestream": [255, 79, 255, 81],
        "BMP": [66, 77],
        "TIFF": [73, 73],
        "TIFF, large first": [77, 77],
        "PNM": [80],
    }
    for kind, start in kinds.items():
        if data[: len(start)] == start:
            return kind
    raise AssertionError("ImageDecoder: a file that is no JPEG, JPEG 2000, PNG, WebP, BMP, TIFF or PNM")


def _forked(data: list[int], kind: str) -> Tensor:
    """The long decoders in TorchScript, where a fork is prepared when it is first needed.

    All of them together would cost the first two calls of a module three seconds each.
    """
    if kind == "JPEG":
        future = _fork(jpeg.decode, data)
    elif kind == "PNG":
        future = _fork(png.decode, data)
    elif kind == "WebP":
        future = _fork(webp.decode, data)
    else:
        future = _fork(jpeg2000.decode, data)
    image: Tensor = _wait(future)
    return image


def _decoded(data: list[int]) -> Tensor:
    """The picture in its own colours."""
    kind = _kind(data)
    if kind == "BMP":
        return plain.decode_bmp(data)
    if kind == "PNM":
        return plain.decode_pnm(data)
    if kind[:4] == "TIFF":
        return plain.decode_tiff(data)
    if _is_scripting():
        return _forked(data, kind)
    else:  # noqa: RET505 - TorchScript leaves out what is not for it
        long = {"JPEG": jpeg.decode, "PNG": png.decode, "WebP": webp.decode}
        return long.get(kind, jpeg2000.decode)(data)


@TORCH.op("ImageDecoder", since=20)
def image_decoder(encoded_stream: Tensor, pixel_format: str = "RGB") -> Tensor:
    """(height, width, channels) of a file's bytes; what its decoder does not know is refused when it comes."""
    data: list[int] = encoded_stream.to(torch.int64).tolist()
    image = _decoded(data)
    if image.shape[2] == 2 or image.shape[2] == 4:  # without what shines through
        image = image[:, :, : image.shape[2] - 1]
    if pixel_format == "Grayscale":
        if image.shape[2] == 1:
            return image
        wide = image.to(torch.int64)
        grey = (19595 * wide[:, :, 0] + 38470 * wide[:, :, 1] + 7471 * wide[:, :, 2] + 32768) >> 16
        return grey.to(torch.uint8).unsqueeze(-1)
    if image.shape[2] == 1:
        image = image.expand([image.shape[0], image.shape[1], 3])
    return image.flip([2]) if pixel_format == "BGR" else image

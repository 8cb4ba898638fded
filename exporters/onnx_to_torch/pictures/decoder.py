"""ONNX ImageDecoder: which format a file is, and the order of its colours."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures import jpeg, plain, png
from exporters.onnx_to_torch.table import TORCH


def _decoded(data: list[int]) -> Tensor:
    if data[:2] == [255, 216]:
        return jpeg.decode(data)
    if data[:4] == [137, 80, 78, 71]:
        return png.decode(data)
    if data[:2] == [66, 77]:
        return plain.decode_bmp(data)
    if data[:2] == [73, 73] or data[:2] == [77, 77]:
        return plain.decode_tiff(data)
    assert data[0] == 80, "ImageDecoder: a file that is no baseline JPEG, PNG, BMP, TIFF or PNM"
    return plain.decode_pnm(data)


@TORCH.op("ImageDecoder", since=20)
def image_decoder(encoded_stream: Tensor, pixel_format: str = "RGB") -> Tensor:
    """(height, width, channels) of a file's bytes. JPEG 2000, WebP and progressive JPEG are refused when they come."""
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

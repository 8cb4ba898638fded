"""Image files that ImageDecoder opens, against Pillow, which decodes with libjpeg-turbo and zlib."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from exporters.onnx_to_torch.pictures.decoder import image_decoder


def picture(height: int, width: int, mode: str = "RGB") -> Image.Image:
    """Smooth slopes with sharp marks and some noise."""
    random = np.random.default_rng(height * 100 + width)
    channels = len(Image.new(mode, (1, 1)).getbands())
    y, x = np.mgrid[:height, :width]
    planes = [(x * (3 + c) + y * (7 - c)) % 256 for c in range(channels)]
    array = np.stack(planes, -1).astype(np.int64) + random.integers(0, 12, (height, width, channels))
    array[height // 2 :, width // 3 : width // 2] = 255
    return Image.fromarray(np.clip(array, 0, 255).astype(np.uint8).squeeze(-1) if channels == 1 else
                           np.clip(array, 0, 255).astype(np.uint8), mode)  # fmt: skip


def encoded(image: Image.Image, kind: str, **options: Any) -> torch.Tensor:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return torch.from_numpy(np.frombuffer(buffer.getvalue(), np.uint8).copy())


def opened(data: torch.Tensor) -> Any:
    array = np.array(Image.open(io.BytesIO(data.numpy().tobytes())).convert("RGB"))
    return torch.from_numpy(array)


SIZES = [(1, 1), (7, 9), (16, 16), (17, 33), (40, 23)]
FORMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg_420": ("JPEG", "RGB", {"quality": 80, "subsampling": 2}),
    "jpeg_422": ("JPEG", "RGB", {"quality": 60, "subsampling": 1}),
    "jpeg_444": ("JPEG", "RGB", {"quality": 97, "subsampling": 0}),
    "jpeg_coarse": ("JPEG", "RGB", {"quality": 8}),
    "jpeg_optimised": ("JPEG", "RGB", {"quality": 85, "optimize": True}),
    "jpeg_restarts": ("JPEG", "RGB", {"quality": 85, "restart_marker_blocks": 2}),
    "jpeg_grey": ("JPEG", "L", {"quality": 75}),
    "png": ("PNG", "RGB", {}),
    "png_stored": ("PNG", "RGB", {"compress_level": 0}),
    "png_grey": ("PNG", "L", {"compress_level": 9}),
    "bmp": ("BMP", "RGB", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff_grey": ("TIFF", "L", {}),
    "pnm": ("PPM", "RGB", {}),
    "pnm_grey": ("PPM", "L", {}),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", FORMS)
def test_every_byte_is_that_of_pillow(name: str, size: tuple[int, int]) -> None:
    kind, mode, options = FORMS[name]
    data = encoded(picture(*size, mode), kind, **options)
    assert torch.equal(image_decoder(data), opened(data))


def test_colours_in_the_other_order_and_as_grey() -> None:
    data = encoded(picture(9, 11), "PNG")
    assert torch.equal(image_decoder(data, "BGR"), opened(data).flip([2]))
    grey = np.array(Image.open(io.BytesIO(data.numpy().tobytes())).convert("L"))
    assert torch.equal(image_decoder(data, "Grayscale"), torch.from_numpy(grey).unsqueeze(-1))


def test_a_png_with_a_palette_or_transparency() -> None:
    palettes = [picture(12, 11).quantize(colors) for colors in (2, 4, 16, 200)]
    for image in (*palettes, picture(12, 10, "RGBA"), picture(9, 13, "L").convert("1")):
        data = encoded(image, "PNG")
        wanted = np.array(Image.open(io.BytesIO(data.numpy().tobytes())).convert("RGBA"))[:, :, :3]
        assert torch.equal(image_decoder(data), torch.from_numpy(wanted))


@pytest.mark.parametrize(("kind", "options"), [("WEBP", {}), ("JPEG2000", {}), ("JPEG", {"progressive": True})])
def test_what_is_not_decoded_is_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match=r"ImageDecoder: a (file|JPEG) that is no"):
        image_decoder(encoded(picture(16, 16), kind, **options))

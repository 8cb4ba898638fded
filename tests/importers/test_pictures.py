"""Image files that ImageDecoder opens, against Pillow, which decodes with libjpeg-turbo and zlib."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from exporters.onnx_to_torch.pictures.decoder import image_decoder
from tests.importers.codestreams import CODESTREAMS


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


@pytest.fixture(scope="module")
def scripted() -> Any:
    """The decoder in TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch advises against TorchScript
        return torch.jit.script(image_decoder)


SIZES = [(1, 1), (5, 3), (3, 4), (7, 9), (16, 16), (17, 33), (40, 23)]
FORMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg_420": ("JPEG", "RGB", {"quality": 80, "subsampling": 2}),
    "jpeg_422": ("JPEG", "RGB", {"quality": 60, "subsampling": 1}),
    "jpeg_444": ("JPEG", "RGB", {"quality": 97, "subsampling": 0}),
    "jpeg_coarse": ("JPEG", "RGB", {"quality": 8}),
    "jpeg_optimised": ("JPEG", "RGB", {"quality": 85, "optimize": True}),
    "jpeg_restarts": ("JPEG", "RGB", {"quality": 85, "restart_marker_blocks": 2}),
    "jpeg_progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg_progressive_444": ("JPEG", "RGB", {"quality": 98, "subsampling": 0, "progressive": True}),
    "jpeg_progressive_restarts": ("JPEG", "RGB", {"progressive": True, "restart_marker_blocks": 3}),
    "jpeg_progressive_grey": ("JPEG", "L", {"progressive": True}),
    "jpeg_rgb": ("JPEG", "RGB", {"keep_rgb": True}),
    "jpeg_grey": ("JPEG", "L", {"quality": 75}),
    "webp": ("WEBP", "RGB", {}),
    "webp_coarse": ("WEBP", "RGB", {"quality": 2}),
    "webp_fine": ("WEBP", "RGB", {"quality": 100, "method": 6}),
    "webp_lossless": ("WEBP", "RGB", {"lossless": True}),
    "webp_lossless_slow": ("WEBP", "RGB", {"lossless": True, "quality": 100, "method": 6}),
    "webp_lossless_transparent": ("WEBP", "RGBA", {"lossless": True}),
    "jpeg2000": ("JPEG2000", "RGB", {}),
    "jpeg2000_grey": ("JPEG2000", "L", {"no_jp2": True}),
    "jpeg2000_floats": ("JPEG2000", "RGB", {"irreversible": True, "codeblock_size": (4, 16)}),
    "jpeg2000_layers": ("JPEG2000", "RGB", {"quality_layers": [60, 20, 5], "num_resolutions": 1}),
    "jpeg2000_tiles": ("JPEG2000", "RGB", {"tile_size": (16, 24), "offset": (5, 7), "tile_offset": (3, 2)}),
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


@pytest.mark.parametrize("name", FORMS)
def test_it_is_the_same_in_torchscript(name: str, scripted: Any) -> None:
    kind, mode, options = FORMS[name]
    data = encoded(picture(21, 18, mode), kind, **options)
    assert torch.equal(scripted(data), opened(data))


@pytest.mark.parametrize(("written", "said"), [("4:2:2", 0x12), ("4:2:0", 0x41), ("4:2:0", 0x14)])
def test_a_jpeg_with_colours_in_other_grids(written: str, said: int) -> None:
    """What Pillow writes in one grid is said to be in another of as many blocks: another picture, yet a picture."""
    data = encoded(picture(30, 27), "JPEG", subsampling=written)
    start = data.numpy().tobytes().index(b"\xff\xc0")
    data[start + 11] = said
    assert torch.equal(image_decoder(data), opened(data))


@pytest.mark.parametrize("order", ["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"])
@pytest.mark.parametrize("floats", [False, True], ids=["whole", "floats"])
def test_jpeg_2000_with_its_packets_in_any_order(order: str, floats: bool, scripted: Any) -> None:
    options = {"quality_layers": [60, 20, 4], "precinct_size": (16, 32), "num_resolutions": 3, "codeblock_size": (8, 8)}
    image = picture(50, 65)
    data = encoded(image, "JPEG2000", progression=order, irreversible=floats, tile_size=(48, 40), **options)
    assert torch.equal(scripted(data), opened(data))


@pytest.mark.parametrize("name", CODESTREAMS)
def test_a_jpeg_2000_with_rare_options(name: str, scripted: Any) -> None:
    data = torch.from_numpy(np.frombuffer(CODESTREAMS[name], np.uint8).copy())
    assert torch.equal(image_decoder(data), opened(data))
    assert torch.equal(scripted(data), opened(data))


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


@pytest.mark.parametrize("colors", [2, 4, 16, 200])
def test_a_webp_of_few_colours(colors: int) -> None:
    data = encoded(picture(12, 11).quantize(colors).convert("RGB"), "WEBP", lossless=True)
    assert torch.equal(image_decoder(data), opened(data))


@pytest.mark.parametrize("lossless", [False, True])
def test_the_first_picture_of_a_moving_webp_on_its_canvas(lossless: bool) -> None:
    frames = [Image.new("RGBA", (30, 25)) for _ in range(2)]
    frames[0].paste(picture(10, 12), (11, 7))
    frames[1].paste(picture(9, 9), (3, 4))
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=lossless, minimize_size=True)
    assert torch.equal(image_decoder(data), opened(data))


SLOPES = {
    "of two axes": lambda y, x, noise: noise[x] + noise[y + 100],
    "at an angle": lambda y, x, noise: noise[x + y],
    "curved": lambda y, x, noise: (x * x / 37 + y * y / 29 + (x * y) // 41) % 256,
}


@pytest.mark.parametrize("kind", SLOPES)
def test_a_lossless_webp_that_is_predicted_from_all_sides(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 120, 400)
    y, x = np.mgrid[:50, :60]
    plane = SLOPES[kind](y, x, noise).astype(np.uint8)
    data = encoded(Image.fromarray(np.stack([plane, plane // 2, 255 - plane], -1)), "WEBP", lossless=True, method=6)
    assert torch.equal(image_decoder(data), opened(data))


def test_what_is_not_decoded_is_refused() -> None:
    with pytest.raises(AssertionError, match="ImageDecoder: a JPEG of neither one nor three colours"):
        image_decoder(encoded(picture(16, 16, "CMYK"), "JPEG"))
    with pytest.raises(AssertionError, match="ImageDecoder: a file that is no JPEG, JPEG 2000, PNG, WebP, BMP, TIFF"):
        image_decoder(encoded(picture(16, 16), "GIF"))


@pytest.mark.parametrize("name", FORMS)
def test_a_file_that_is_cut_off_is_refused(name: str, scripted: Any) -> None:
    kind, mode, options = FORMS[name]
    data = encoded(picture(24, 19, mode), kind, **options)
    for part in (0.3, 0.6, 0.9):
        short = data[: int(part * len(data))]
        with pytest.raises(AssertionError, match="ImageDecoder: "):
            image_decoder(short)
        with pytest.raises((RuntimeError, torch.jit.Error), match="ImageDecoder: "):
            scripted(short)


@pytest.mark.parametrize("name", FORMS)
def test_a_damaged_file_ends_in_a_picture_or_an_error(name: str) -> None:
    kind, mode, options = FORMS[name]
    data = encoded(picture(24, 19, mode), kind, **options)
    random = np.random.default_rng(0)
    for _ in range(6):
        damaged = data.clone()
        damaged[random.integers(0, min(len(data), 400), 2)] = torch.from_numpy(random.integers(0, 256, 2, np.uint8))
        told = ""
        try:
            image_decoder(damaged)
        except (AssertionError, IndexError) as error:
            told = str(error)
        assert told in {"", "list index out of range"} or told.startswith("ImageDecoder: ")

"""From an image file to a model's input, exactly as its contract says; every runtime is fed by this one function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.contract import Preprocessing
from toolkit.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image


def load(path: Path, contract: Preprocessing, *, resize: bool = False) -> np.ndarray[Any, Any]:
    """One sample, float32, shape (1, *contract.shape).

    Raises BadInput where the file is no image, or has another size than the model's and `resize` is off: a silent
    resize changes predictions.
    """
    import numpy as np
    import PIL.Image

    image = _opened(path, contract.mode)
    height, width = contract.size
    if image.size != (width, height):
        if not resize:
            raise BadInput(
                f"the image is {image.width}x{image.height}, the model takes {width}x{height}",
                where=str(path),
                hint=f"Resize it, or pass --resize to have it done ({contract.resample}).",
            )
        image = image.resize((width, height), PIL.Image.Resampling[contract.resample.upper()])
    scaled = np.asarray(image, dtype=np.float32) / np.float32(contract.scale)
    return arrange(scaled, contract)


def pixels(path: Path, mode: str) -> np.ndarray[Any, Any]:
    """An image file as it is, in Pillow's `mode`: uint8 (height, width, channels). Raises BadInput."""
    import numpy as np

    return np.asarray(_opened(path, mode), np.uint8)


def _opened(path: Path, mode: str) -> Image:
    import PIL.Image

    if not path.is_file():
        raise BadInput("no such file", where=str(path), hint="Give an image file.")
    try:
        with PIL.Image.open(path) as file:
            return file.convert(mode)
    except (PIL.UnidentifiedImageError, OSError, PIL.Image.DecompressionBombError) as error:
        raise BadInput("it is not an image that can be read", where=str(path), hint="Use PNG or JPEG.") from error


def arrange(pixels: np.ndarray[Any, Any], contract: Preprocessing) -> np.ndarray[Any, Any]:
    """Scaled pixels (height, width[, channels]) -> normalised, laid out and shaped as the contract says, batch 1."""
    import numpy as np

    mean, std = np.array(contract.mean, np.float32), np.array(contract.std, np.float32)
    normalised = (pixels - (mean if pixels.ndim == 3 else mean[0])) / (std if pixels.ndim == 3 else std[0])
    if contract.layout == "CHW":
        normalised = normalised[None] if normalised.ndim == 2 else normalised.transpose(2, 0, 1)
    elif contract.layout == "HWC" and normalised.ndim == 2:
        normalised = normalised[..., None]
    return np.ascontiguousarray(normalised.reshape(1, *contract.shape), dtype=np.float32)

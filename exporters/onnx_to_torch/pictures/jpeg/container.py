"""A JPEG file: its segments in turn."""

from __future__ import annotations

from torch import Tensor  # noqa: TC002 - TorchScript looks it up

from exporters.onnx_to_torch.pictures.bits import big_endian
from exporters.onnx_to_torch.pictures.codes import Code
from exporters.onnx_to_torch.pictures.jpeg import headers, pixels, scans
from exporters.onnx_to_torch.pictures.jpeg.records import Frame


def _is_mixed(frame: Frame, marked: int) -> bool:
    """Whether brightness and differences are to be turned into colours; `marked` is 0 where the file does not say."""
    return marked == 1 or (marked == 0 and [component.name for component in frame.components] != [82, 71, 66])


def _marked(data: list[int], marker: int, place: int, before: int) -> int:
    """What is known of the colours after a segment: 1 if it says that they are mixed, -1 if not."""
    if marker == 224 and data[place : place + 4] == [74, 70, 73, 70]:  # JFIF
        return 1
    if marker == 238 and data[place : place + 5] == [65, 100, 111, 98, 101] and before == 0:  # Adobe
        return -1 if big_endian(data, place + 11, 1) == 0 else 1
    return before


def decode(data: list[int]) -> Tensor:
    """(height, width, 1 or 3) in RGB of a sequential or progressive JPEG."""
    quantities: dict[int, list[int]] = {}
    codes: dict[int, Code] = {}
    frames: list[Frame] = []
    interval, at, mixed = 0, 2, 0
    while big_endian(data, at, 2) != 0xFFD9:
        marker, place = data[at + 1], at + 4
        if marker == 255:  # a filler
            at += 1
            continue
        size = big_endian(data, at + 2, 2)
        assert data[at] == 255 and at + 2 + size <= len(data), "ImageDecoder: a JPEG with a broken segment"
        at += 2 + size
        mixed = _marked(data, marker, place, mixed)
        if marker == 219:
            headers.read_quantities(data, place, at, quantities)
        elif marker == 196:
            headers.read_codes(data, place, at, codes)
        elif marker == 221:
            interval = big_endian(data, place, 2)
        elif marker == 218:
            assert len(frames) == 1, "ImageDecoder: a JPEG with a scan before its frame"
            scan = headers.read_scan(data, place, at, frames[0], interval, codes)
            stretches, at = scans.parts(data, at)
            scans.read(stretches, frames[0], scan, codes)
        elif marker >= 192 and marker <= 207:
            assert marker < 195, "ImageDecoder: a JPEG that is lossless, hierarchical or coded arithmetically"
            assert len(frames) == 0, "ImageDecoder: a JPEG of several frames"
            frames.append(headers.read_frame(data, place, marker == 194))
    assert len(frames) == 1, "ImageDecoder: a JPEG without a frame"
    return pixels.picture(frames[0], quantities, _is_mixed(frames[0], mixed))

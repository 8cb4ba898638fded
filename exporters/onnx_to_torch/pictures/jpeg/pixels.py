"""The pixels of a JPEG out of its coefficients, by libjpeg's integer transform and its smooth upsampling."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.jpeg.records import Frame


def _half(rows: list[Tensor], shift: int) -> list[Tensor]:
    """The inverse cosine transform of eight values, in fixed point of 13 bits, rounded by `shift` bits."""
    z1 = (rows[2] + rows[6]) * 4433
    t2, t3 = z1 - rows[6] * 15137, z1 + rows[2] * 6270
    t0, t1 = (rows[0] + rows[4]) << 13, (rows[0] - rows[4]) << 13
    even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3]
    o0, o1, o2, o3 = rows[7], rows[5], rows[3], rows[1]
    z5 = (o0 + o2 + o1 + o3) * 9633
    z3, z4 = (o0 + o2) * -16069 + z5, (o1 + o3) * -3196 + z5
    z1, z2 = (o0 + o3) * -7373, (o1 + o2) * -20995
    odd = [o3 * 12299 + z1 + z4, o2 * 25172 + z2 + z3, o1 * 16819 + z2 + z4, o0 * 2446 + z1 + z3]
    half = 1 << (shift - 1)
    first = [(even[i] + odd[i] + half) >> shift for i in range(4)]
    return first + [(even[3 - i] - odd[3 - i] + half) >> shift for i in range(4)]


def _pixels(blocks: Tensor) -> Tensor:
    """Dequantised blocks (count, 8, 8) as pixels from 0 to 255."""
    columns = torch.stack(_half(list(blocks.unbind(1)), 11), 1)
    rows = torch.stack(_half(list(columns.unbind(2)), 18), 2)
    return torch.clamp(rows + 128, 0, 255)


def _smoothed(near: Tensor, axis: int, first: int, second: int, shift: int) -> Tensor:
    """Twice as many elements along an axis: three parts of the nearer and one of the farther neighbour.

    `first` and `second` round the two elements that each one becomes; at both ends an element is its own neighbour.
    """
    size = near.shape[axis]
    before = torch.cat([near.narrow(axis, 0, 1), near.narrow(axis, 0, size - 1)], axis)
    after = torch.cat([near.narrow(axis, 1, size - 1), near.narrow(axis, size - 1, 1)], axis)
    left, right = (3 * near + before + first) >> shift, (3 * near + after + second) >> shift
    return torch.stack([left, right], axis + 1).flatten(axis, axis + 1)


def _upsampled(plane: Tensor, across: int, down: int) -> Tensor:
    """A plane with `across` and `down` times as many columns and rows."""
    narrow = plane.shape[1] < 3  # is not smoothed
    if across == 2 and down == 2 and not narrow:
        size = plane.shape[0]
        above = torch.cat([plane[:1], plane[: size - 1]], 0)
        below = torch.cat([plane[1:], plane[size - 1 :]], 0)
        sums = torch.stack([3 * plane + above, 3 * plane + below], 1).flatten(0, 1)
        return _smoothed(sums, 1, 8, 7, 4)
    if across == 2 and down == 1 and not narrow:
        return _smoothed(plane, 1, 1, 2, 2)
    if across == 1 and down == 2:
        return _smoothed(plane, 0, 1, 2, 2)
    return plane.repeat_interleave(down, 0).repeat_interleave(across, 1)


def _colours(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """Red, green and blue out of brightness and two differences, in fixed point of 16 bits."""
    r = luma + ((91881 * red + 32768) >> 16)
    g = luma + ((-22554 * blue + 32768 - 46802 * red) >> 16)
    b = luma + ((116130 * blue + 32768) >> 16)
    return torch.clamp(torch.stack([r, g, b], -1), 0, 255).to(torch.uint8)


def picture(frame: Frame, quantities: dict[int, list[int]], mixed: bool) -> Tensor:
    """(height, width, 1 or 3) in RGB; `mixed` if the components are not those colours themselves."""
    planes: list[Tensor] = []
    for component in frame.components:
        assert component.table in quantities, "ImageDecoder: a JPEG without a table that it uses"
        table = torch.tensor(quantities[component.table]).reshape([1, 8, 8])
        pixels = _pixels(torch.tensor(component.coefficients).reshape([-1, 8, 8]) * table)
        plane = pixels.reshape([-1, component.stride, 8, 8]).permute([0, 2, 1, 3]).reshape([-1, 8 * component.stride])
        across, down = frame.across, frame.down
        height = (frame.height * component.down + down - 1) // down
        plane = plane[:height, : (frame.width * component.across + across - 1) // across]
        plane = _upsampled(plane, across // component.across, down // component.down)
        planes.append(plane[: frame.height, : frame.width])
    if len(planes) == 1 or not mixed:
        return torch.stack(planes, -1).to(torch.uint8)
    return _colours(planes[0], planes[1] - 128, planes[2] - 128)

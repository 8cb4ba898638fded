"""How each macroblock of a VP8 key frame is predicted (RFC 6386, section 11).

The modes: 0 the mean, 1 true motion, 2 from above, 3 from the left; of parts of 4 x 4 also 4 to 9, at an angle; and
4 of a macroblock: each part has a mode of its own.
"""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.webp import tables
from exporters.onnx_to_torch.pictures.webp.booleans import bit, leaf


def read_modes(
    data: list[int], coder: list[int], likely: list[int], skipped: int, columns: int, rows: int
) -> tuple[list[list[int]], list[int]]:
    """Per macroblock its segment, 1 if it has no coefficients, its modes of luma and chroma; and all parts' modes.

    `likely` holds the probabilities of the segments, `skipped` that of having coefficients, -1 where all have some.
    """
    usual = tables.part_modes()
    blocks: list[list[int]] = []
    across = 4 * columns
    parts = [0] * (across * 4 * rows)
    for y in range(rows):
        for x in range(columns):
            segment = leaf(data, coder, [2, 4, 0, -1, -2, -3], likely, 0, 0) if len(likely) > 0 else 0
            skip = bit(data, coder, skipped) if skipped >= 0 else 0
            luma = leaf(data, coder, [-4, 2, 4, 6, 0, -2, -3, -1], [145, 156, 163, 128], 0, 0)
            tree = [0, 2, -1, 4, -2, 6, 8, 12, -3, 10, -4, -5, -6, 14, -7, 16, -8, -9]
            for i in range(16):
                at = (4 * y + i // 4) * across + 4 * x + i % 4
                if luma < 4:
                    parts[at] = luma
                else:
                    above = parts[at - across] if at >= across else 0
                    left = parts[at - 1] if at % across > 0 else 0
                    parts[at] = leaf(data, coder, tree, usual, 9 * (10 * above + left), 0)
            chroma = leaf(data, coder, [0, 2, -2, 4, -3, -1], [142, 114, 183], 0, 0)
            blocks.append([segment, skip, luma, chroma])
    return blocks, parts

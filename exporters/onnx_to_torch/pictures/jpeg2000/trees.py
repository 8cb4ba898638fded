"""Tag trees tell the numbers of a grid little by little: a node is the least of the four below it (annex B.10.2)."""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.jpeg2000.records import Tree


def planted(width: int, height: int) -> Tree:
    """A tree of which nothing is known yet."""
    widths: list[int] = [width]
    firsts: list[int] = [0]
    total = width * height
    while width * height > 1:
        width, height = (width + 1) // 2, (height + 1) // 2
        widths.append(width)
        firsts.append(total)
        total += width * height
    return Tree(widths, firsts, [-1] * total, [0] * total)


def bit(data: list[int], reader: list[int]) -> int:
    """The next bit of a packet's header. `reader`: the byte to be read next, the last one, its bits that are left.

    After a byte 255, a byte has seven bits.
    """
    if reader[2] == 0:
        reader[2] = 7 if reader[1] == 255 else 8
        assert reader[0] < len(data), "ImageDecoder: a JPEG 2000 that ends too early"
        reader[1] = data[reader[0]]
        reader[0] += 1
    reader[2] -= 1
    return (reader[1] >> reader[2]) & 1


def is_below(data: list[int], reader: list[int], tree: Tree, x: int, y: int, limit: int) -> bool:
    """Whether the number at (x, y) is below `limit`; the bits that tell it are read as far as they are not known."""
    least = 0
    node = 0
    for i in range(len(tree.widths)):
        level = len(tree.widths) - 1 - i
        node = tree.firsts[level] + (y >> level) * tree.widths[level] + (x >> level)
        least = max(least, tree.least[node])
        while least < limit and tree.values[node] < 0:
            if bit(data, reader) == 1:
                tree.values[node] = least
            else:
                least += 1
        tree.least[node] = least
    return tree.values[node] >= 0 and tree.values[node] < limit

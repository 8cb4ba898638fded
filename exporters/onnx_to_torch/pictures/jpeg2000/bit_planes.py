"""The coefficients of a block, plane by plane of their bits, each in up to three passes (annex D)."""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.jpeg2000.arithmetic import answer, fresh, plain, started
from exporters.onnx_to_torch.pictures.jpeg2000.records import Plane


def _own_context(across: int, down: int, corners: int) -> int:
    """The context of becoming other than 0, by how many neighbours are so."""
    if across == 2:
        return 8
    if across == 1:
        return 7 if down > 0 else (6 if corners > 0 else 5)
    if down > 0:
        return 2 + down
    return min(corners, 2)


def _corner_context(sides: int, corners: int) -> int:
    """The same in a band of differences both across and down."""
    if corners > 2:
        return 8
    if corners == 2:
        return 7 if sides > 0 else 6
    return min(sides, 2) + 3 * corners


def contexts_by_kind() -> list[list[int]]:
    """Per kind of band, the context by what `near` holds."""
    found: list[list[int]] = []
    for kind in range(4):
        own: list[int] = []
        for near in range(45):
            across, down, corners = near % 3, near // 3 % 3, near // 9
            if kind == 3:
                own.append(_corner_context(across + down, corners))
            elif kind == 1:
                own.append(_own_context(down, across, corners))
            else:
                own.append(_own_context(across, down, corners))
        found.append(own)
    return found


def _find(data: list[int], coder: list[int], work: Plane, at: int, row: int, raw: bool) -> None:
    """Read the sign of a coefficient in a `row` of its stripe that is found not to be 0; its neighbours get to know.

    Where stripes are apart, the row above does not, and the one below is not looked at.
    """
    signs, near, stride = work.signs, work.near, work.stride
    below = 0 if work.apart and row == 3 else signs[at + stride]
    across, down = signs[at - 1] + signs[at + 1], signs[at - stride] + below
    guess = 3 * min(max(across, -1), 1) + min(max(down, -1), 1)
    if raw:
        signs[at] = 1 - 2 * plain(data, coder)
    else:
        sign = answer(data, coder, work.table, work.contexts, 9 + abs(guess))
        signs[at] = 1 if (sign == 1) == (guess < 0) else -1
    work.sizes[at] = 3 << work.number[0]
    near[at] += 64
    near[at - 1] += 1
    near[at + 1] += 1
    near[at + stride] += 3
    near[at + stride - 1] += 9
    near[at + stride + 1] += 9
    if not (work.apart and row == 0):
        near[at - stride] += 3
        near[at - stride - 1] += 9
        near[at - stride + 1] += 9


def _spread(data: list[int], coder: list[int], work: Plane, raw: bool) -> None:
    """The first pass: coefficients that are 0 as far as is known and have neighbours that are not."""
    near, seen, own, table, contexts = work.near, work.seen, work.own, work.table, work.contexts
    plane, stride = work.number[0], work.stride
    for top in range(0, work.height, 4):
        rows = min(4, work.height - top)
        for x in range(work.width):
            at = stride * (top + 1) + x + 1
            for row in range(rows):
                known = near[at]
                if known > 0 and known < 64:
                    seen[at] = plane
                    context = own[known]
                    if (plain(data, coder) if raw else answer(data, coder, table, contexts, context)) == 1:
                        _find(data, coder, work, at, row, raw)
                at += stride


def _refine(data: list[int], coder: list[int], work: Plane, raw: bool) -> None:
    """The second pass: one bit more of the coefficients that an earlier plane found not to be 0."""
    near, seen, sizes, refined = work.near, work.seen, work.sizes, work.refined
    table, contexts, plane, stride = work.table, work.contexts, work.number[0], work.stride
    for top in range(0, work.height, 4):
        rows = min(4, work.height - top)
        for x in range(work.width):
            at = stride * (top + 1) + x + 1
            for _ in range(rows):
                if near[at] >= 64 and seen[at] != plane:
                    context = 16 if refined[at] else (15 if near[at] > 64 else 14)
                    more = plain(data, coder) if raw else answer(data, coder, table, contexts, context)
                    sizes[at] += (1 << plane) if more == 1 else -(1 << plane)
                    refined[at] = True
                at += stride


def _clean(data: list[int], coder: list[int], work: Plane) -> None:
    """The third pass: what the first has left out; four that know of nothing, one upon another, are often all 0."""
    near, seen, own, table, contexts = work.near, work.seen, work.own, work.table, work.contexts
    plane, stride = work.number[0], work.stride
    for top in range(0, work.height, 4):
        rows = min(4, work.height - top)
        for x in range(work.width):
            at = stride * (top + 1) + x + 1
            start = 0
            if rows == 4 and near[at] + near[at + stride] + near[at + 2 * stride] + near[at + 3 * stride] == 0:
                if answer(data, coder, table, contexts, 17) == 0:
                    continue
                start = 2 * answer(data, coder, table, contexts, 18)
                start += answer(data, coder, table, contexts, 18) + 4
            for row in range(start % 4, rows):
                place = at + stride * row
                left = near[place] < 64 and seen[place] != plane
                found = start == row + 4  # the answers have told it
                if left and not found:
                    found = answer(data, coder, table, contexts, own[near[place]]) == 1
                if found:
                    _find(data, coder, work, place, row, False)
    if work.marked:  # four bits at the end of a plane, always the same
        for _ in range(4):
            answer(data, coder, table, contexts, 18)


def _started(width: int, height: int, planes: int, style: int, own: list[int], table: list[int]) -> Plane:
    size = (width + 2) * (height + 2)
    return Plane(
        width,
        height,
        width + 2,
        style & 8 > 0,
        style & 32 > 0,
        own,
        table,
        fresh(),
        [planes - 1],
        [0] * size,
        [0] * size,
        [0] * size,
        [-1] * size,
        [False] * size,
    )


def block(
    coded: list[list[int]],
    passes: list[int],
    width: int,
    height: int,
    planes: int,
    style: int,
    own: list[int],
    table: list[int],
) -> tuple[list[int], list[int]]:
    """Twice the coefficients of a block without their signs, and the signs, with a border of one around it.

    It comes in segments, of so many passes each. `own` holds the contexts of its kind of band, `table` the states of
    the arithmetic code.
    """
    work = _started(width, height, planes, style, own, table)
    kind = 2
    for k in range(len(coded)):
        raw = style & 1 > 0 and kind < 2 and work.number[0] < planes - 4  # written as they are
        coder = [0] * 4 if raw else started(coded[k])
        for _ in range(passes[k]):
            assert work.number[0] >= 0, "ImageDecoder: a JPEG 2000 with more passes than planes"
            if kind == 0:
                _spread(coded[k], coder, work, raw)
            elif kind == 1:
                _refine(coded[k], coder, work, raw)
            else:
                _clean(coded[k], coder, work)
                work.number[0] -= 1
            kind = (kind + 1) % 3
            if style & 2 > 0:
                contexts = fresh()
                for i in range(len(contexts)):
                    work.contexts[i] = contexts[i]
    return work.sizes, work.signs

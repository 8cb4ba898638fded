"""The verdict table on a terminal, or in a pipe: as wide as the console, cut nowhere that carries a meaning.

Rows are laid out here rather than by a table widget: where the console is too narrow, whole columns move under their
row (first the runtime), and a reason that does not fit beside its verdict wraps under it. Nothing else ever wraps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.report import cells
from toolkit.report.cells import Column
from toolkit.report.plain import plain, shortened
from toolkit.verification.report import Report, Row, Verdict

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.CRASHED: "bold red",
    Verdict.REFUSED: "magenta",
    Verdict.ERROR: "red",
    Verdict.NOT_RUN: "yellow",
    Verdict.INCONCLUSIVE: "yellow",
}
DIM = "dim"
# Which column moves under its row first, where the console is too narrow for all of them.
_MOVES_FIRST = (cells.RUNTIME, cells.ARGMAX, cells.LARGEST, cells.LATENCY, cells.RAN_ON)
_GAP = "  "
_APART = "     "
_UNDER = 4  # what stands under a row is indented by this much
_BESIDE = 40  # a reason wraps beside its verdict where it has at least this much room, else under the row
_LEGEND = (
    "each entry: verdict, error in units of the source's own rounding noise, time in times of the source's"
    " (? where the measurement can't tell)"
)

# A line is pieces of text with their styles.
Line = list[tuple[str, str]]


def render(report: Report, console: Console, *, page: str | None = None) -> None:
    """Print reference, table, summary and exit code; `page` is where the HTML report was written, if it was."""
    about, truth = cells.reference(report)
    _print(console, _flow([about, truth, report.coverage.words], console.width, DIM, label=" reference  ", indent=12))
    _print(console, _table(report.rows, console.width))
    places = _places(page, report.worst_inputs)
    _print(console, _summary(report.rows, report.exit_code, places, console.width))


def render_many(reports: Sequence[tuple[str, Report]], console: Console, *, page: str | None = None) -> None:
    """Print one line per source with R and latency ratio of each format, then every reason why something is no pass.

    Where the console is too narrow for that, the latency moves to a second line, and then each entry has its own line.
    """
    width = console.width
    _print(console, _matrix(reports, width))
    _print(console, _wrapped(_LEGEND.split(), width, DIM, indent=1))
    for name, report in reports:
        _print(console, _reasons(name, report, width))
    rows = [row for _, report in reports for row in report.rows]
    code = cells.exit_code([report for _, report in reports])
    _print(console, _summary(rows, code, _places(page, None), width))


@dataclass(frozen=True)
class _Layout:
    """The columns that fit side by side, their widths, and the columns that moved under the rows."""

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    moved: tuple[Column, ...]


def _table(rows: Sequence[Row], width: int) -> list[Line]:
    layout = _layout(rows, width)
    lines = [_line([(column.title, DIM) for column in layout.columns], layout.widths, ("verdict", DIM))]
    for row in rows:
        lines += _row_lines(row, layout, width, path=cells.row_path(row, rows))
    return lines


def _layout(rows: Sequence[Row], width: int) -> _Layout:
    columns = list(cells.columns_for(rows))
    moved = []
    verdict = max([len("verdict"), *(len(row.verdict.value) for row in rows)])
    for column in _MOVES_FIRST:
        if 1 + sum(size + len(_GAP) for size in _widths(columns, rows)) + verdict <= width:
            break
        if column in columns:
            columns.remove(column)
            moved.append(column)
    return _Layout(tuple(columns), _widths(columns, rows), tuple(moved))


def _widths(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[int, ...]:
    return tuple(max([_size(column.title), *(_size(_cell(column, row)) for row in rows)]) for column in columns)


def _row_lines(row: Row, layout: _Layout, width: int, *, path: str) -> list[Line]:
    line = _line(
        [(_cell(column, row), "") for column in layout.columns],
        layout.widths,
        (row.verdict.value, STYLES[row.verdict]),
    )
    lines = _with_reason(line, plain(row.reason), width)
    moved = [f"{column.title} {_cell(column, row)}" for column in layout.moved if _cell(column, row) != "-"]
    under = [path, *moved] if path else moved
    pieces = [f"{piece}," for piece in under[:-1]] + under[-1:]
    return lines + _wrapped(pieces, width, DIM, indent=_UNDER)


def _with_reason(line: Line, reason: str, width: int) -> list[Line]:
    """The reason beside the verdict where it fits or has room to wrap, else under the row."""
    start = sum(_size(text) for text, _ in line) + len(_GAP)
    room = width - start
    if _size(reason) > room and room < _BESIDE:
        return [line, *_wrapped(reason.split(), width, "", indent=_UNDER)]
    first, *rest = _fold(reason.split(), room) or [""]
    return [[*line, (_GAP + first, "")], *([(" " * start + text, "")] for text in rest)]


def _matrix(reports: Sequence[tuple[str, Report]], width: int) -> list[Line]:
    """One line per source, one column per format (and device, where a format ran on several); as wide as it may be."""
    everything = [row for _, report in reports for row in report.rows]
    sources = [
        (plain(name, 24), {cells.row_title(row, report.rows, everything): row for row in report.rows})
        for name, report in reports
    ]
    for layout in (_matrix_wide, _matrix_two_lines):
        lines = layout(sources)
        fits = all(sum(_size(text) for text, _ in line) <= width for line in lines)
        if fits and sum(len(rows) for _, rows in sources) == len(everything):  # no two rows of the same title
            return lines
    return _matrix_list(reports, everything)


Sources = list[tuple[str, dict[str, Row]]]


def _matrix_wide(sources: Sources) -> list[Line]:
    titles = _titles(sources)
    table = [[(name, ""), *(_entry(rows.get(title)) for title in titles)] for name, rows in sources]
    return _grid([[("source", DIM), *((title, DIM) for title in titles)], *table])


def _matrix_two_lines(sources: Sources) -> list[Line]:
    titles = _titles(sources)
    table: list[Line] = [[("source", DIM), *((title, DIM) for title in titles)]]
    for name, rows in sources:
        table.append([(name, ""), *(_entry(rows.get(title), timed=False) for title in titles)])
        if any(row.latency for row in rows.values()):
            table.append([("", ""), *((_times(rows.get(title)), DIM) for title in titles)])
    return _grid(table)


def _matrix_list(reports: Sequence[tuple[str, Report]], everything: Sequence[Row]) -> list[Line]:
    lines: list[Line] = []
    for name, report in reports:
        lines.append([(f" {plain(name, 60)}", "")])
        lines += _grid([
            [("", ""), (shortened(cells.row_title(row, report.rows, everything), 40), DIM), _entry(row)]
            for row in report.rows
        ])  # fmt: skip
    return lines


def _titles(sources: Sources) -> list[str]:
    return list(dict.fromkeys(title for _, rows in sources for title in rows))


def _entry(row: Row | None, *, timed: bool = True) -> tuple[str, str]:
    if row is None:
        return ("-", DIM)
    figure = cells.noise(row.worst_output)
    parts = [row.verdict.value, figure if figure != "-" else "", _times(row) if timed else ""]
    return (" ".join(part for part in parts if part), STYLES[row.verdict])


def _times(row: Row | None) -> str:
    if row is None or row.latency is None:
        return ""
    return f"{row.latency.ratio:.2f}x" + ("?" if row.latency.verdict == "can't tell" else "")


def _reasons(name: str, report: Report, width: int) -> list[Line]:
    lines: list[Line] = []
    for row in report.rows:
        if row.verdict is not Verdict.PASS:
            title = f"{plain(name)}, {cells.row_title(row, report.rows)}:"
            text = f"{title} {row.verdict}  {plain(row.reason)}"
            lines += _wrapped(text.split(), width, STYLES[row.verdict], indent=1)
    if not report.rows:
        lines += _wrapped(f"{plain(name)}: nothing was compared".split(), width, STYLES[Verdict.INCONCLUSIVE], indent=1)
    return lines


def _places(page: str | None, worst: str | None) -> list[str]:
    named = {"report": page, "worst input": worst}
    return [f"{title}: {plain(path)}" for title, path in named.items() if path]


def _summary(rows: Sequence[Row], code: int, places: list[str], width: int) -> list[Line]:
    style = "bold green" if code == 0 else "bold"
    return _flow([f"{cells.count_words(rows)} -> exit {code}", *places], width, style, indent=2)


def _cell(column: Column, row: Row) -> str:
    return shortened(column.cell(row), column.most)


def _grid(table: Sequence[Line]) -> list[Line]:
    widths = [max(_size(text) for text, _ in column) for column in zip(*table, strict=True)]
    return [_line(line, widths) for line in table]


def _line(pieces: Sequence[tuple[str, str]], widths: Sequence[int], last: tuple[str, str] = ("", "")) -> Line:
    """Cells padded to their columns' widths behind one blank; `last` and what follows it stand unpadded."""
    line: Line = [(" ", "")]
    for (text, style), width in zip(pieces, widths, strict=True):
        line += [(text + " " * (width - _size(text)), style), (_GAP, "")]
    return [*line, last] if last[0] else line[:-1]


def _flow(parts: Sequence[str], width: int, style: str, *, label: str = "", indent: int) -> list[Line]:
    """Parts behind `label`, side by side as far as they fit; what does not starts an indented line of its own."""
    lines: list[str] = []
    for part in parts:
        if lines and _size(lines[-1]) + len(_APART) + _size(part) <= width:
            lines[-1] += _APART + part
        else:
            lines += [" " * indent + line for line in _fold(part.split(), width - indent)]
    lines[0] = label + lines[0][indent:]
    return [[(line, style)] for line in lines]


def _wrapped(words: Iterable[str], width: int, style: str, *, indent: int) -> list[Line]:
    return [[(" " * indent + line, style)] for line in _fold(words, width - indent)]


def _fold(words: Iterable[str], room: int) -> list[str]:
    """Lines of whole words; only a word that is longer than a line (a path) is cut, and goes on in the next."""
    room = max(room, 10)
    lines: list[str] = []
    for word in words:
        if lines and _size(lines[-1]) + 1 + _size(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines += _chopped(word, room)
    return lines


def _chopped(word: str, room: int) -> list[str]:
    from rich.cells import chop_cells

    return chop_cells(word, room)


def _size(text: str) -> int:
    """Cells on a terminal: wide characters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def _print(console: Console, lines: list[Line]) -> None:
    from rich.text import Text

    encoding = console.encoding
    for line in lines:
        text = Text()
        for piece, style in line:
            text.append(piece.encode(encoding, "backslashreplace").decode(encoding), style)
        text.rstrip()
        console.print(text, soft_wrap=True, highlight=False)

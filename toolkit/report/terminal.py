"""The verdict table on a terminal, or in a pipe: as wide as the console, cut nowhere that carries a meaning.

Rows are laid out here rather than by a table widget: where the console is too narrow, whole columns move under their
row (first the runtime), and a reason that does not fit beside its verdict wraps under it. Nothing else ever wraps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit.report import cells
from toolkit.report.cells import Column
from toolkit.report.plain import plain, shortened
from toolkit.verification.report import Latency, Report, Row, Verdict

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
_UNDER = 4  # what stands under a row is indented by this much
_BESIDE = 40  # a reason wraps beside its verdict where it has at least this much room, else under the row

# A line is pieces of text with their styles.
Line = list[tuple[str, str]]


def render(report: Report, console: Console, *, page: str | None = None) -> None:
    """Print reference, table, summary and exit code; `page` is where the HTML report was written, if it was."""
    width = console.width
    places = [f"report: {plain(page)}"] if page else []
    places += [f"worst input: {plain(report.worst_inputs)}"] if report.worst_inputs else []
    _print(console, _flow([f" reference  {cells.reference(report)}", report.coverage.words], width, DIM, under=12))
    _print(console, _table(report.rows, width))
    _print(console, _summary(report.rows, report.exit_code, places, width))


def render_many(reports: Sequence[tuple[str, Report]], console: Console, *, page: str | None = None) -> None:
    """Print one line per source with R and latency ratio of each format, then every reason why something is no pass.

    Where the console is too narrow for the matrix, each source and format has a line of its own.
    """
    width = console.width
    matrix = _matrix(reports)
    fits = all(_length(line) <= width for line in matrix)
    _print(console, matrix if fits else _list(reports))
    legend = "x noise: the error in units of the source's own rounding error; x time: latency, in times of the source's"
    _print(console, _wrapped(legend, width, DIM, indent=1))
    rows = [row for _, report in reports for row in report.rows]
    for name, report in reports:
        _print(console, _reasons(name, report, width))
    places = [f"report: {plain(page)}"] if page else []
    code = cells.exit_code([report for _, report in reports])
    _print(console, _summary(rows, code, places, width))


def _table(rows: Sequence[Row], width: int) -> list[Line]:
    columns = list(cells.columns_for(rows))
    moved: list[Column] = []
    for column in _MOVES_FIRST:
        if _natural_width(columns, rows) > width and column in columns:
            columns.remove(column)
            moved.append(column)
    widths = _widths(columns, rows)
    lines = [_cells_line([(column.title, DIM) for column in columns], widths, ("verdict", DIM))]
    for row in rows:
        lines += _row_lines(row, rows, columns, widths, moved, width)
    return lines


def _row_lines(
    row: Row, rows: Sequence[Row], columns: list[Column], widths: list[int], moved: list[Column], width: int
) -> list[Line]:
    verdict = (row.verdict.value, STYLES[row.verdict])
    line = _cells_line([(_cell(column, row), "") for column in columns], widths, verdict)
    under = [f"{column.title} {_cell(column, row)}" for column in moved if _cell(column, row) != "-"]
    if len({other.path for other in rows if other.format == row.format}) > 1:
        under.insert(0, plain(row.path))
    reason = plain(row.reason)
    room = width - _length(line) - len(_GAP)
    if not reason:
        beside, below = [], []
    elif len(reason) <= room or room >= _BESIDE:
        beside, below = _wrapped(reason, room, "", indent=0), []
    else:
        beside, below = [], _wrapped(reason, width, "", indent=_UNDER)
    hang = " " * (_length(line) + len(_GAP))
    lines = [line + [(_GAP, ""), *beside[0]] if beside else line]
    lines += [[(hang, ""), *rest] for rest in beside[1:]]
    lines += _wrapped(", ".join(under), width, DIM, indent=_UNDER) if under else []
    return lines + below


def _matrix(reports: Sequence[tuple[str, Report]]) -> list[Line]:
    """One line per source, one column per format (and device, where a format ran on several)."""
    titled = [(name, {cells.row_title(row, report.rows): row for row in report.rows}) for name, report in reports]
    titles = list(dict.fromkeys(title for _, rows in titled for title in rows))
    names = [shortened(plain(name), 24) for name, _ in titled]
    table = [[_matrix_cell(rows.get(title)) for title in titles] for _, rows in titled]
    heads = [(shortened(title, 24), DIM) for title in titles]
    columns = [[heads[i], *(line[i] for line in table)] for i in range(len(titles))]
    widths = [max(map(_size, ["source", *names])), *(max(_size(text) for text, _ in column) for column in columns)]
    lines = [[("source", DIM), *heads], *([(name, ""), *line] for name, line in zip(names, table, strict=True))]
    return [_cells_line(line, widths) for line in lines]


def _matrix_cell(row: Row | None) -> tuple[str, str]:
    if row is None:
        return ("-", DIM)
    figure = cells.noise(row.worst_output)
    parts = [row.verdict.value, *([figure] if figure != "-" else []), *_times(row.latency)]
    return (" ".join(parts), STYLES[row.verdict])


def _times(latency: Latency | None) -> list[str]:
    return [] if latency is None else [f"{latency.ratio:.2f}x" + ("?" if latency.verdict == "can't tell" else "")]


def _list(reports: Sequence[tuple[str, Report]]) -> list[Line]:
    lines: list[Line] = []
    for name, report in reports:
        lines.append([(f" {plain(name, 60)}", "")])
        lines += [
            [(f"   {shortened(cells.row_title(row, report.rows), 24):12} ", ""), _matrix_cell(row)]
            for row in report.rows
        ]
    return lines


def _reasons(name: str, report: Report, width: int) -> list[Line]:
    lines: list[Line] = []
    for row in report.rows:
        if row.verdict is not Verdict.PASS:
            where = f"{plain(name)}, {cells.row_title(row, report.rows)}: "
            lines += _wrapped(f"{where}{row.verdict}  {plain(row.reason)}", width, STYLES[row.verdict], indent=1)
    if not report.rows:
        lines += _wrapped(f"{plain(name)}: nothing was compared", width, STYLES[Verdict.INCONCLUSIVE], indent=1)
    return lines


def _summary(rows: Sequence[Row], code: int, places: list[str], width: int) -> list[Line]:
    style = "bold green" if code == 0 else "bold"
    return _flow([f"{cells.count_words(rows)} -> exit {code}", *places], width, style, under=2)


def _cell(column: Column, row: Row) -> str:
    return shortened(column.cell(row), column.most)


def _widths(columns: list[Column], rows: Sequence[Row]) -> list[int]:
    return [max(_size(column.title), *(_size(_cell(column, row)) for row in rows), 0) for column in columns]


def _natural_width(columns: list[Column], rows: Sequence[Row]) -> int:
    verdict = max((len(row.verdict.value) for row in rows), default=0)
    return 1 + sum(_widths(columns, rows)) + len(_GAP) * len(columns) + max(verdict, len("verdict"))


def _cells_line(texts: Sequence[tuple[str, str]], widths: list[int], last: tuple[str, str] | None = None) -> Line:
    """Cells padded to their columns' widths behind one blank; `last` and what follows it stand unpadded."""
    padded = [(text + " " * (width - _size(text)), style) for (text, style), width in zip(texts, widths, strict=True)]
    line: Line = [(" ", "")]
    for piece in padded:
        line += [piece, (_GAP, "")]
    return [*line, last] if last else line[:-1]


def _flow(parts: Sequence[str], width: int, style: str, *, under: int) -> list[Line]:
    """Parts side by side as far as they fit, the others each on a line of their own, indented by `under`."""
    lines: list[Line] = []
    current = ""
    for part in parts:
        joined = f"{current}     {part}" if current else part
        if current and _size(joined) > width:
            lines += _hanging(current, width, style, under)
            current = " " * under + part
        else:
            current = joined
    return lines + _hanging(current, width, style, under)


def _hanging(text: str, width: int, style: str, under: int) -> list[Line]:
    start = len(text) - len(text.lstrip())
    if _size(text) <= width:
        return [[(text, style)]]
    first, *rest = _wrapped(text.lstrip(), width, style, indent=min(max(start, under), width // 2))
    return [[(text[:start] + first[0][0].lstrip(), style)], *rest]


def _wrapped(text: str, width: int, style: str, *, indent: int) -> list[Line]:
    """Broken between words; a word (a number, a path) only where it is longer than a whole line."""
    from rich.console import Console
    from rich.text import Text

    lines = Text(text).wrap(Console(file=None), max(width - indent, 10))
    return [[(" " * indent + line.plain.rstrip(), style)] for line in lines]


def _size(text: str) -> int:
    """Cells on a terminal: wide characters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def _length(line: Line) -> int:
    return sum(_size(text) for text, _ in line)


def _print(console: Console, lines: list[Line]) -> None:
    from rich.text import Text

    encoding = console.encoding
    for line in lines:
        text = Text()
        for piece, style in line:
            text.append(piece.encode(encoding, "backslashreplace").decode(encoding), style)
        text.rstrip()
        console.print(text, soft_wrap=True, highlight=False)

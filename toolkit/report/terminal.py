"""The verdict table on a terminal, or in a pipe: as wide as the console, cut nowhere that carries a meaning.

Rows are laid out here rather than by a table widget: where the console is too narrow, whole columns move under their
row (first the runtime), and a reason that does not fit beside its verdict wraps under it. Nothing else ever wraps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.report import cells, explanation
from toolkit.report.cells import Column
from toolkit.report.lines import DIM, GAP, Line, flow, fold, grid, padded, print_lines, size, wrapped
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
# Which column moves under its row first, where the console is too narrow for all of them.
_MOVES_FIRST = (cells.RUNTIME, cells.ARGMAX, cells.LARGEST, cells.LATENCY, cells.RAN_ON)
_UNDER = 4  # what stands under a row is indented by this much
_BESIDE = 40  # a reason wraps beside its verdict where it has at least this much room, else under the row
_LEGEND = (
    "each entry: verdict, error in units of the source's own rounding noise, time in times of the source's"
    " (? where the measurement can't tell)"
)


def render(report: Report, console: Console, *, page: str | None = None) -> None:
    """Print reference, table, summary and exit code; `page` is where the HTML report was written, if it was."""
    render_table(report, console)
    places = _places(page, report.worst_inputs)
    print_lines(console, _summary(report.rows, report.exit_code, places, console.width))


def render_table(report: Report, console: Console) -> None:
    """Print what was compared with what, and the table of verdicts, without a summary."""
    about, truth = cells.reference(report)
    print_lines(
        console, flow([about, truth, report.coverage.words], console.width, DIM, label=" reference  ", indent=12)
    )
    print_lines(console, _table(report.rows, console.width))


def render_many(reports: Sequence[tuple[str, Report]], console: Console, *, page: str | None = None) -> None:
    """Print one line per source with R and latency ratio of each format, then every reason why something is no pass.

    Where the console is too narrow for that, the latency moves to a second line, and then each entry has its own line.
    """
    width = console.width
    print_lines(console, _matrix(reports, width))
    print_lines(console, wrapped(_LEGEND.split(), width, DIM, indent=1))
    for name, report in reports:
        print_lines(console, _reasons(name, report, width))
    rows = [row for _, report in reports for row in report.rows]
    code = cells.exit_code([report for _, report in reports])
    print_lines(console, _summary(rows, code, _places(page, None), width))


def explain(report: Report, console: Console) -> None:
    """Print a paragraph on every row that is not PASS: what was measured, what that means, what to do next."""
    for row in report.rows:
        if row.verdict is not Verdict.PASS:
            title = f"{cells.row_title(row, report.rows)}: {row.verdict}"
            words = explanation.words(row, report.thresholds)
            print_lines(console, [[], *wrapped(title.split(), console.width, STYLES[row.verdict], indent=1)])
            print_lines(console, wrapped(words.split(), console.width, "", indent=3))


@dataclass(frozen=True)
class _Layout:
    """The columns that fit side by side, their widths, and the columns that moved under the rows."""

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    moved: tuple[Column, ...]


def _table(rows: Sequence[Row], width: int) -> list[Line]:
    layout = _layout(rows, width)
    lines = [padded([(column.title, DIM) for column in layout.columns], layout.widths, ("verdict", DIM))]
    for row in rows:
        lines += _row_lines(row, layout, width, path=cells.row_path(row, rows))
    return lines


def _layout(rows: Sequence[Row], width: int) -> _Layout:
    columns = list(cells.columns_for(rows))
    moved = []
    verdict = max([len("verdict"), *(len(row.verdict.value) for row in rows)])
    for column in _MOVES_FIRST:
        if 1 + sum(size + len(GAP) for size in _widths(columns, rows)) + verdict <= width:
            break
        if column in columns:
            columns.remove(column)
            moved.append(column)
    return _Layout(tuple(columns), _widths(columns, rows), tuple(moved))


def _widths(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[int, ...]:
    return tuple(max([size(column.title), *(size(_cell(column, row)) for row in rows)]) for column in columns)


def _row_lines(row: Row, layout: _Layout, width: int, *, path: str) -> list[Line]:
    line = padded(
        [(_cell(column, row), "") for column in layout.columns],
        layout.widths,
        (row.verdict.value, STYLES[row.verdict]),
    )
    lines = _with_reason(line, plain(row.reason), width)
    moved = [f"{column.title} {_cell(column, row)}" for column in layout.moved if _cell(column, row) != "-"]
    under = [path, *moved] if path else moved
    pieces = [f"{piece}," for piece in under[:-1]] + under[-1:]
    searched = row.search.words.split() if row.search is not None else []
    return lines + wrapped(pieces, width, DIM, indent=_UNDER) + wrapped(searched, width, DIM, indent=_UNDER)


def _with_reason(line: Line, reason: str, width: int) -> list[Line]:
    """The reason beside the verdict where it fits or has room to wrap, else under the row."""
    start = sum(size(text) for text, _ in line) + len(GAP)
    room = width - start
    if size(reason) > room and room < _BESIDE:
        return [line, *wrapped(reason.split(), width, "", indent=_UNDER)]
    first, *rest = fold(reason.split(), room) or [""]
    return [[*line, (GAP + first, "")], *([(" " * start + text, "")] for text in rest)]


def _matrix(reports: Sequence[tuple[str, Report]], width: int) -> list[Line]:
    """One line per source, one column per format (and device, where a format ran on several); as wide as it may be."""
    everything = [row for _, report in reports for row in report.rows]
    sources = [
        (plain(name, 24), {cells.row_title(row, report.rows, everything): row for row in report.rows})
        for name, report in reports
    ]
    for layout in (_matrix_wide, _matrix_two_lines):
        lines = layout(sources)
        fits = all(sum(size(text) for text, _ in line) <= width for line in lines)
        if fits and sum(len(rows) for _, rows in sources) == len(everything):  # no two rows of the same title
            return lines
    return _matrix_list(reports, everything)


Sources = list[tuple[str, dict[str, Row]]]


def _matrix_wide(sources: Sources) -> list[Line]:
    titles = _titles(sources)
    table = [[(name, ""), *(_entry(rows.get(title)) for title in titles)] for name, rows in sources]
    return grid([[("source", DIM), *((title, DIM) for title in titles)], *table])


def _matrix_two_lines(sources: Sources) -> list[Line]:
    titles = _titles(sources)
    table: list[Line] = [[("source", DIM), *((title, DIM) for title in titles)]]
    for name, rows in sources:
        table.append([(name, ""), *(_entry(rows.get(title), timed=False) for title in titles)])
        if any(row.latency for row in rows.values()):
            table.append([("", ""), *((_times(rows.get(title)), DIM) for title in titles)])
    return grid(table)


def _matrix_list(reports: Sequence[tuple[str, Report]], everything: Sequence[Row]) -> list[Line]:
    lines: list[Line] = []
    for name, report in reports:
        lines.append([(f" {plain(name, 60)}", "")])
        lines += grid([
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
            lines += wrapped(text.split(), width, STYLES[row.verdict], indent=1)
    if not report.rows:
        lines += wrapped(f"{plain(name)}: nothing was compared".split(), width, STYLES[Verdict.INCONCLUSIVE], indent=1)
    return lines


def _places(page: str | None, worst: str | None) -> list[str]:
    named = {"report": page, "worst input": worst}
    return [f"{title}: {plain(path)}" for title, path in named.items() if path]


def _summary(rows: Sequence[Row], code: int, places: list[str], width: int) -> list[Line]:
    style = "bold green" if code == 0 else "bold"
    return flow([f"{cells.count_words(rows)} -> exit {code}", *places], width, style, indent=2)


def _cell(column: Column, row: Row) -> str:
    return shortened(column.cell(row), column.most)

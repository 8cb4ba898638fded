"""`toolkit bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from toolkit.cli import options
from toolkit.errors import EXIT_FAILED

_WIDE = 110
_WIDE_ONLY = ("p90", "p99", "per second")
_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("file", "left"), ("ran on", "left"), ("batch", "right"), ("median ms", "right"), ("p90", "right"),
    ("p99", "right"), ("per second", "right"), ("ratio", "right"), ("", "left"),
)  # fmt: skip


@click.command()
@click.argument("targets", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1), default=(1,), show_default=True)
@click.option("--budget", metavar="ratio=X", help="Fail where a file is slower than X times the first, for certain.")
@click.option("--baseline", type=click.Path(path_type=Path), help="A --json of an earlier run to compare with.")
@click.option("--json", "as_json", is_flag=True, help="Print one strict JSON object.")
@options.device_option
@options.worker_options
def command(targets: tuple[Path, ...], batches: tuple[int, ...], budget: str | None, **given: Any) -> int:
    """Measure the latency of exported TARGETs, in turns with the first of them.

    A bundle stands for all of its files. A budget fails only where the whole interval of the ratio lies above it; a
    missing baseline is an error, never a pass.
    """
    from toolkit.bench import targets as measuring
    from toolkit.verification import gate
    from toolkit.worker.pool import WorkerPool

    limit = gate.ratio_of(budget) if budget is not None else None
    limits = options.limits(given["threads"], given["timeout"], given["memory"])
    table = options.commands(given["pythons"], given["workers"])
    with options.progress() as stage, WorkerPool(limits=limits, commands=table) as pool:
        rows = measuring.measure(pool, measuring.files_of(targets), given["devices"], batches, stage)
    baseline = measuring.load_baseline(given["baseline"]) if given["baseline"] else None
    if given["as_json"]:
        options.show_json({"schema": measuring.SCHEMA, "rows": [row.to_json() for row in rows]})
    else:
        _show(rows)
    over = measuring.over_budget(rows, limit, baseline)
    for line in over:
        click.echo(line, err=True)
    return EXIT_FAILED if over else 0


def _show(rows: list[Any]) -> None:
    """One line per row, whatever the width; a narrow terminal gets fewer figures, `--json` always has them all."""
    from rich.console import Console
    from rich.table import Table

    from toolkit.report.plain import plain

    console = Console(highlight=False, markup=False)
    wide = console.width >= _WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title, justify in _COLUMNS:
        if wide or title not in _WIDE_ONLY:
            table.add_column(title, justify=justify, no_wrap=True)
    for row in rows:
        cells = {
            "file": plain(row.path, 40 if wide else 14) if _same_format(row, rows) else row.format,
            "ran on": row.ran_on,
            "batch": str(row.batch),
            "median ms": f"{row.median:.3f}",
            "p90": f"{row.p90:.3f}",
            "p99": f"{row.p99:.3f}",
            "per second": f"{row.throughput:,.0f}",
            "ratio": f"{row.ratio:.2f} ({row.low:.2f} to {row.high:.2f})",
            "": f"{row.verdict}{' (noisy)' if row.noisy and wide else ''}",
        }
        table.add_row(*(cells[title] for title, _ in _COLUMNS if wide or title not in _WIDE_ONLY))
    console.print(table)


def _same_format(row: Any, rows: list[Any]) -> bool:
    """Whether another file of this format is in the table, so that the format alone would not tell them apart."""
    return len({other.path for other in rows if other.format == row.format}) > 1

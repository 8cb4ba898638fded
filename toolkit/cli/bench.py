"""`toolkit bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli import options
from toolkit.errors import EXIT_FAILED, BadInput


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
    from toolkit.worker.pool import WorkerPool

    limit = _budget(budget)
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


def _budget(text: str | None) -> float | None:
    if text is None:
        return None
    name, _, value = text.partition("=")
    try:
        if name != "ratio" or float(value) <= 0:
            raise ValueError
        return float(value)
    except ValueError:
        raise BadInput(f"'{text}' is not a budget", where="--budget", hint="Write ratio=1.1.") from None


def _show(rows: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("file", "ran on", "batch", "median ms", "p90", "p99", "per second", "ratio", "95 % interval", ""):
        table.add_column(title, justify="left" if title in ("file", "ran on", "") else "right")
    for row in rows:
        interval = f"{row.low:.2f} to {row.high:.2f}"
        verdict = f"{row.verdict}{' (noisy)' if row.noisy else ''}"
        figures = (f"{value:.3f}" for value in (row.median, row.p90, row.p99))
        table.add_row(
            row.path,
            row.ran_on,
            str(row.batch),
            *figures,
            f"{row.throughput:,.0f}",
            f"{row.ratio:.2f}",
            interval,
            verdict,
        )
    Console(highlight=False, markup=False).print(table)

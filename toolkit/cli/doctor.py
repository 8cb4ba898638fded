"""`toolkit doctor`: versions, usable devices, and the one line that mends what is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

import click

from toolkit.doctor import MISSING, OK, REQUIRABLE, TOO_OLD, Diagnosis, examine
from toolkit.errors import EXIT_MISSING, EXIT_PASSED

_COLOURS = {OK: "green", TOO_OLD: "yellow", MISSING: "yellow"}


@click.command("doctor")
@click.option("--require", multiple=True, type=click.Choice(REQUIRABLE), help="Exit 3 unless this can be used here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(context: click.Context, /, require: Sequence[str], as_json: bool) -> None:
    r"""Show versions, usable devices, and how to mend what is missing.

    \b
    toolkit doctor
    toolkit doctor --require torch --require cuda
    """
    diagnosis = examine(require)
    if as_json:
        click.echo(json.dumps(diagnosis.to_json(), indent=2, allow_nan=False))
    else:
        for line in lines(diagnosis):
            click.echo(line, color=None if _may_colour() else False)
    context.exit(EXIT_PASSED if diagnosis.healthy and not diagnosis.unmet else EXIT_MISSING)


def lines(diagnosis: Diagnosis) -> Iterable[str]:
    """The diagnosis for people."""
    for name, value in diagnosis.system.items():
        yield f" {name:10} {value}"
    yield ""
    packages = [
        (package.name, package.version or "-", package.minimum or "-", package.state, package.needed_by)
        for package in diagnosis.packages
    ]
    yield from _table(("package", "installed", "at least", "state", "needed by"), packages)
    yield ""
    usable = [(d.runtime, d.device, "ok" if d.usable else d.missing or "") for d in diagnosis.devices]
    yield from _table(("runtime", "device", "state"), usable)
    if diagnosis.remedies:
        yield ""
        yield " to mend what is missing, as far as you need it:"
        yield from (f"   {remedy}" for remedy in diagnosis.remedies)
    if diagnosis.unmet:
        yield ""
        yield from (click.style(f" required, but {reason}", fg="red") for reason in diagnosis.unmet)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    yield click.style(_padded(titles, widths), dim=True)
    for row in rows:
        yield _padded(row, widths)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = [_coloured(cell) + " " * (width - len(cell)) for cell, width in zip(cells, widths, strict=True)]
    return f" {'  '.join(shown)}".rstrip()


def _coloured(cell: str) -> str:
    return click.style(cell, fg=_COLOURS[cell]) if cell in _COLOURS else cell


def _may_colour() -> bool:
    """False where NO_COLOR is set (no-color.org); click itself leaves colour out where the output is no terminal."""
    return not os.environ.get("NO_COLOR")

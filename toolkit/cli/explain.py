"""`toolkit explain`: a report that was written with `--json`, read back and put into plain words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from toolkit.errors import BadInput
from toolkit.report.plain import plain
from toolkit.verification.report import SCHEMA, Report, from_json

# What a file that is no report, or a report of another version, can raise while it is taken apart.
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError)
_HINT = "Write it again with `toolkit verify --json FILE`."


@click.command("explain")
@click.argument("report", type=click.Path(path_type=Path))
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the HTML page as well."
)
def command(report: Path, html: Path | None) -> None:
    r"""Say in plain words what a report shows and what to do next.

    \b
    toolkit verify model.pt model.onnx --json report.json
    toolkit explain report.json --html report.html
    """
    found = read(report)
    try:
        text, page = told(found, html), _page(found) if html else ""
    except _MALFORMED as error:
        raise _unreadable(report, error) from error
    if html:
        _write(html, page)
    click.echo(text, nl=False)


def read(path: Path) -> Report:
    """The report in a JSON file. Raises BadInput where there is none that this version can read."""
    data = _json(path)
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        found = plain(repr(schema), 60)
        raise BadInput(f"its schema is {found}, and this version reads '{SCHEMA}'", where=str(path), hint=_HINT)
    try:
        return from_json(data)
    except _MALFORMED as error:
        raise _unreadable(path, error) from error


def told(report: Report, page: Path | None = None) -> str:
    """The table and the paragraphs, as wide as the terminal and coloured only there."""
    from rich.console import Console

    from toolkit.report import terminal

    console = Console()
    with console.capture() as captured:
        terminal.render(report, console, page=str(page) if page else None)
        terminal.explain(report, console)
    return captured.get()


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise BadInput(f"not JSON (line {error.lineno})", where=str(path), hint=_HINT) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise BadInput("not JSON", where=str(path), hint=_HINT) from error
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path), hint="Check the path.") from error


def _unreadable(path: Path, error: Exception) -> BadInput:
    what = plain(f"{type(error).__name__}: {error}", 80)
    return BadInput(f"its content is not a report's ({what})", where=str(path), hint=_HINT)


def _page(report: Report) -> str:
    """The HTML page. Raises ValueError where the report holds something else than its schema says."""
    from jinja2 import TemplateError

    from toolkit.report import html

    try:
        return html.render(report)
    except TemplateError as error:
        raise ValueError(str(error)) from error


def _write(path: Path, page: str) -> None:
    from toolkit.files import replacing

    with replacing(path.absolute()) as staged:
        staged.write_text(page, encoding="utf-8")

"""Options and displays that several commands share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from toolkit.errors import BadInput

if TYPE_CHECKING:
    from toolkit.verification.report import Report
    from toolkit.worker.limits import Limits

_RUNTIMES = ("torch", "tensorflow", "tf_keras", "onnxruntime")
Function = TypeVar("Function", bound=Callable[..., Any])


def source_options(function: Function) -> Function:
    """What says how a source is opened."""
    for option in (
        click.option(
            "--allow-class",
            "allow",
            multiple=True,
            metavar="PACKAGE.MODULE.CLASS",
            help="A class that a pickled model is built of; nothing else in the file is called.",
        ),
        click.option("--trust", multiple=True, metavar="SHA256", help="Allow exactly this file to run code."),
        click.option(
            "--framework",
            type=click.Choice(["torch", "keras", "tensorflow"]),
            help="Of a factory, where its module does not show it.",
        ),
        click.option("--signature", metavar="NAME", help="Which signature of a SavedModel, where it has several."),
        click.option("--factory", metavar="PACKAGE.MODULE:CALLABLE", help="Builds the model where SOURCE is weights."),
        click.option(
            "--input",
            "inputs",
            multiple=True,
            metavar="NAME:DTYPE[DIM,...]",
            help="An input of the model; a DIM is a size or a name (batch) for one that may vary.",
        ),
    ):
        function = option(function)
    return function


def precision_options(function: Function) -> Function:
    """In how many bits files hold their weights and compute."""
    for option in (
        click.option(
            "--calibrate",
            type=click.Path(path_type=Path),
            metavar="FILE|FOLDER",
            help="Of int8: the .npz that its ranges come from, or a folder of them.  [default: --data]",
        ),
        click.option(
            "--precision",
            default="fp32",
            show_default=True,
            metavar="fp32|fp16|bf16|int8",
            help="Of the files' weights and arithmetic; verified as a class of its own.",
        ),
    ):
        function = option(function)
    return function


def worker_options(function: Function) -> Function:
    """What says where and with how much workers run."""
    for option in (
        click.option("--memory", type=float, metavar="GB", help="Memory limit of a worker.  [default: 90 % of all]"),
        click.option("--timeout", type=float, default=900.0, show_default=True, metavar="SECONDS", help="Of a step."),
        click.option("--threads", type=click.IntRange(1), help="Threads of each runtime.  [default: all cores]"),
        click.option(
            "--worker",
            "workers",
            multiple=True,
            metavar="DEVICE=COMMAND",
            help='A prefix for a device, for instance cuda="ssh gpu-host toolkit worker".',
        ),
        click.option(
            "--python",
            "pythons",
            multiple=True,
            metavar="RUNTIME=PATH",
            help="Another interpreter for torch, tensorflow, tf_keras (Keras 2) or onnxruntime.",
        ),
    ):
        function = option(function)
    return function


def report_options(function: Function) -> Function:
    """Where reports go."""
    path = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option("--md", "markdown", type=path, help="Write a Markdown summary."),
        click.option("--junit", type=path, help="Write JUnit XML."),
        click.option("--html", type=path, help="Write the report as one self-contained page."),
        click.option("--json", "json_file", type=path, is_flag=False, flag_value=Path("-"),
                     help="Print the report as strict JSON, or write it to a file."),
    ):  # fmt: skip
        function = option(function)
    return function


device_option = click.option(
    "--device", "devices", multiple=True, default=("cpu",), show_default=True, help="cpu, cuda or cuda:N; repeatable."
)


def limits(threads: int | None, timeout: float, memory: float | None) -> Limits:
    from toolkit.worker.limits import Limits

    for option, value in (("--timeout", timeout), ("--memory", memory)):
        if value is not None and not 0 < value < float("inf"):
            raise BadInput(f"'{value:g}' is not a limit", where=option, hint="Give a number above 0.")
    return Limits(seconds=timeout, memory=int((memory or 0) * 1e9), threads=threads or 0)


def commands(pythons: tuple[str, ...], workers: tuple[str, ...]) -> dict[str, str]:
    """`--python` and `--worker` as one table. Raises BadInput for what is not NAME=VALUE."""
    table: dict[str, str] = {}
    for option, texts, names in (
        ("--python", pythons, _RUNTIMES),
        ("--worker", workers, ("cpu", "cuda", *_RUNTIMES)),
    ):
        for text in texts:
            name, separator, value = text.partition("=")
            if not separator or not value or name not in names:
                raise BadInput(f"'{text}' is not {'|'.join(names)}=...", where=option)
            table[name] = value
    return table


@contextlib.contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A function to be told the stage; shown on stderr, and only where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    from toolkit.report.plain import plain

    console = Console(stderr=True)
    with console.status("") as status:
        yield lambda stage: status.update(f"[dim]{plain(stage)}[/dim]")


def write_reports(
    report: Report, *, json_file: Path | None, html: Path | None, junit: Path | None, markdown: Path | None
) -> None:
    """Write the reports asked for; print, unless JSON goes there. In GitHub Actions, summary and annotations too."""
    import os

    from toolkit.verification.report import dumps

    renderers: dict[str, tuple[Path | None, Callable[[], str]]] = {
        "html": (html, lambda: _module("html").render(report)),
        "junit": (junit, lambda: _module("junit").render(report)),
        "markdown": (markdown, lambda: _module("markdown").render(report)),
    }
    for path, render in renderers.values():
        if path is not None:
            write_text(path, render())
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(_module("markdown").render(report))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        click.echo(_module("annotations").render(report), nl=False, err=True)
    if json_file is not None:
        text = dumps(report.to_json())
        if str(json_file) == "-":
            click.echo(text)
            return
        write_text(json_file, text + "\n")
    print_report(report, html)


def print_report(report: Report, html: Path | None = None) -> None:
    from rich.console import Console

    from toolkit.report import terminal

    console = Console(highlight=False)
    terminal.render(report, console, page=str(html) if html else None)


def write_text(path: Path, text: str) -> None:
    """Write a report completely or not at all."""
    from toolkit.files import replacing

    with replacing(path) as stage:
        stage.write_text(text, encoding="utf-8")


def _module(name: str) -> Any:
    from importlib import import_module

    return import_module(f"toolkit.report.{name}")


def show_json(data: Mapping[str, Any]) -> None:
    from toolkit.verification.report import dumps

    click.echo(dumps(data))

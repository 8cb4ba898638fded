"""`toolkit sweep`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import options
from toolkit.cli.export import command as export

if TYPE_CHECKING:
    from toolkit.report.fleet import Fleet, Outcome
    from toolkit.sweep.conduct import Watcher
    from toolkit.sweep.entries import Entry, Key
    from toolkit.sweep.whole import How

# Options of `toolkit export` that are the sweep's own, or mean nothing to one model among many.
_NOT_KEYS = {"output", "dry_run", "quiet", "json_file", "html", "junit", "markdown", "threads", "timeout", "memory",
             "workers", "pythons"}  # fmt: skip


@click.command()
@click.argument("models", metavar="MODELS.toml", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the bundles.")
@click.option("--jobs", type=click.IntRange(1), help="Models at once.  [default: by cores and memory]")
@click.option(
    "--ray",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="local",
    help="Run on Ray: a cluster's address, auto, or nothing for a Ray of this machine.",
)
@click.option("--only", multiple=True, metavar="NAME", help="These models alone; * stands for anything. Repeatable.")
@click.option("--fresh", is_flag=True, help="Export everything anew, whatever passed before.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, and no table when all passed.")
@options.worker_options
@options.report_options
def command(models: Path, output: Path, **given: Any) -> int:
    """Export and verify every model of a TOML file; go on where an earlier run was stopped.

    Each [models.NAME] has a source and the options of `toolkit export` by their own names (to, input, opset, ...);
    [defaults] holds those of all. Paths are relative to the file. Latency is measured only where a model says
    latency = true. Every bundle lies in OUTPUT/NAME; the summary beside them is sweep.html, sweep.md and sweep.json. A
    model that passed before is kept unless its source, its options or this toolkit has changed; one that fails stops
    no other.
    """
    from toolkit.sweep import whole
    from toolkit.sweep.entries import read

    entries = _chosen(read(models, keys(), whole.RESERVED), given["only"])
    limits = options.limits(given["threads"], given["timeout"], given["memory"])
    how = whole.How(
        jobs=given["jobs"],
        ray=given["ray"],
        seconds=limits.seconds,
        memory=int((given["memory"] or 0) * 1e9),
        threads=given["threads"],
        commands=options.commands(given["pythons"], given["workers"]),
    )
    if given["dry_run"]:
        return _describe(entries, output, how, fresh=given["fresh"])
    with _watching(len(entries), quiet=given["quiet"]) as watcher:
        found = whole.run(entries, output, how, watcher, fresh=given["fresh"])
    _report(found, output, given)
    return found.exit_code


def keys() -> dict[str, Key]:
    """What a model's table may hold: every option of `toolkit export` that concerns one model."""
    from toolkit.sweep.entries import Key

    context = export.make_context("toolkit export", ["source", "--to", "all", "-o", "out"])
    usual = {**context.params, "to": (), "latency": False}  # what neither the model nor [defaults] says
    found = {}
    for option in export.params:
        if not isinstance(option, click.Option) or option.name is None or option.name in _NOT_KEYS:
            continue
        flag = max(option.opts, key=len).lstrip("-")
        found[flag] = Key(
            option.name, _converter(option, context), usual[option.name], isinstance(option.type, click.Path)
        )
    return found


def _converter(option: click.Option, context: click.Context) -> Any:
    def convert(value: Any) -> Any:
        several = isinstance(value, list)
        if several and not option.multiple:
            raise ValueError("it takes one value, not a list")
        if option.is_flag and not isinstance(value, bool):
            raise ValueError(f"it is true or false, not {value!r}")
        if not option.is_flag and any(isinstance(each, bool | dict | list) for each in (value if several else [value])):
            raise ValueError(f"{value!r} is no value for it")
        try:
            return option.type_cast_value(context, value if several or not option.multiple else [value])
        except click.BadParameter as error:
            raise ValueError(error.message) from None

    return convert


def _chosen(entries: Sequence[Entry], only: Sequence[str]) -> list[Entry]:
    from fnmatch import fnmatchcase

    from toolkit.errors import BadInput

    for pattern in only:
        if not any(fnmatchcase(entry.name, pattern) for entry in entries):
            names = ", ".join(entry.name for entry in entries)
            raise BadInput(f"no model is called '{pattern}'", where="--only", hint=f"There are {names}.")
    return [entry for entry in entries if not only or any(fnmatchcase(entry.name, pattern) for pattern in only)]


def _describe(entries: Sequence[Entry], output: Path, how: How, *, fresh: bool) -> int:
    from toolkit.report.plain import plain
    from toolkit.sweep import whole

    todo = whole.plan(entries, output, how.commands or {}, fresh=fresh)
    for entry in entries:
        what = "as before" if entry.name in todo.before else "export"
        click.echo(f"{what:9}  {output / entry.name}  {plain(entry.source)} to {', '.join(entry.arguments['to'])}")
    return 0


@contextlib.contextmanager
def _watching(total: int, *, quiet: bool) -> Iterator[Watcher]:
    """A line on stderr for every model that has ended; on a terminal, below them, what is being done."""
    from toolkit.report.fleet import seconds
    from toolkit.report.plain import plain
    from toolkit.sweep.conduct import Watcher

    if quiet:
        yield Watcher()
        return
    ended = 0

    def told(outcome: Outcome) -> None:
        nonlocal ended
        ended += 1
        why = f": {plain(outcome.summary)}" if outcome.reason else ""
        words = f"{ended}/{total}  {plain(outcome.name)}  {outcome.verdict}  {seconds(outcome)}{why}"
        click.echo(words, err=True)

    with options.progress() as stage:

        def doing(stages: Mapping[str, str]) -> None:
            stage("; ".join(f"{name}: {what}" for name, what in stages.items()))

        yield Watcher(told, doing)


def _report(found: Fleet, output: Path, given: Mapping[str, Any]) -> None:
    """Write the reports asked for; print the table, unless JSON goes there. In GitHub Actions, the summary too."""
    import os

    from toolkit.report import fleet, html
    from toolkit.verification.report import dumps

    renderers = {"html": html.render_fleet, "junit": fleet.junit, "markdown": fleet.markdown}
    for name, render in renderers.items():
        if given[name] is not None:
            options.write_text(given[name], render(found))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(fleet.markdown(found))
    if given["json_file"] is not None:
        text = dumps(found.to_json())
        if str(given["json_file"]) == "-":
            click.echo(text)
            return
        options.write_text(given["json_file"], text + "\n")
    if not (given["quiet"] and found.passed):
        _print(found, output)


def _print(found: Fleet, output: Path) -> None:
    from toolkit.report import fleet
    from toolkit.report.plain import plain

    head, lines = fleet.table(found.outcomes)
    widths = [max(len(line[index]) for line in [head, *lines]) for index in range(len(head))]
    for line in [head, *lines]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    words = fleet.count_words(found.outcomes)
    click.echo(f"{words} -> exit {found.exit_code}     summary: {plain(str(output / 'sweep.html'))}")

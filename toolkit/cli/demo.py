"""`toolkit demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import options

if TYPE_CHECKING:
    from toolkit.demo import Demo


@click.command()
@click.option("-o", "--output", default="demo", show_default=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--framework", "frameworks", multiple=True, type=click.Choice(["torch", "keras", "tensorflow"]))
@click.option("--model", "models", multiple=True, type=click.Choice(["feedforward", "fashion"]))
@click.option("--dataset", type=click.Choice(["digits", "mnist", "fashion-mnist"]), default="digits", show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one strict JSON object instead of the table.")
@options.device_option
@options.worker_options
def command(output: Path, frameworks: tuple[str, ...], models: tuple[str, ...], **given: Any) -> int:
    """Train two models in three frameworks on real digits, export each to four formats, and verify all of them."""
    from toolkit import demo
    from toolkit.report import cells
    from toolkit.worker.pool import WorkerPool

    limits = options.limits(given["threads"], given["timeout"], given["memory"])
    table = options.commands(given["pythons"], given["workers"])
    with options.progress() as stage, WorkerPool(limits=limits, commands=table) as pool:
        made = demo.run(
            pool,
            output,
            frameworks=frameworks or demo.FRAMEWORKS,
            models=models or demo.MODELS,
            dataset=given["dataset"],
            epochs=given["epochs"],
            devices=given["devices"],
            stage=stage,
        )
    if given["as_json"]:
        options.show_json({"reports": {name: report.to_json() for name, report in made.reports}})
    else:
        _show(made)
    return cells.exit_code([report for _, report in made.reports])


def _show(made: Demo) -> None:
    from rich.console import Console

    from toolkit.report import terminal

    console = Console(highlight=False)
    for _, report in made.reports:
        terminal.render_table(report, console)
        console.print()
    accuracies = ", ".join(f"{name} {100 * accuracy:.1f}%" for name, accuracy in made.accuracies.items())
    console.print(f" test accuracy: {accuracies}", style="dim", highlight=False)
    terminal.render_many(made.reports, console, page=str(made.page))
    spent = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in made.seconds.items())
    console.print(f" {spent}; everything is in {made.output}/", style="dim", highlight=False)

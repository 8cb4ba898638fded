"""`toolkit train`: train one of the two models, or all three frameworks from the same start, in worker processes."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from toolkit.errors import EXIT_FAILED, EXIT_PASSED
from trainers.options import DATASETS, DEVICES, FRAMEWORKS, LOOPS, MODELS, OPTIMIZERS, TrainOptions

if TYPE_CHECKING:
    from trainers.same_start import Agreement

Told = Callable[[Mapping[str, Any]], None]
# How a task reaches its worker: runtime, device, task, parameters, progress -> result.
Call = Callable[[str, str, str, Mapping[str, Any], Told], Mapping[str, Any]]

_NO_LIMIT = float("inf")  # a training takes as long as its epochs; Ctrl-C ends it and --resume continues

_RUNTIMES = {"torch": "torch", "keras": "tensorflow", "tensorflow": "tensorflow"}


@click.command("train")
@click.option("--framework", type=click.Choice(FRAMEWORKS), help="What trains it; --same-start takes all three.")
@click.option("--model", type=click.Choice(MODELS), required=True, help="The architecture.")
@click.option("--dataset", type=click.Choice(DATASETS), default="digits", show_default=True, help="Digits come along.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Read the IDX files here instead of downloading.")
@click.option("--optimizer", type=click.Choice(tuple(OPTIMIZERS)), help="[default: adam; sgd with --same-start]")
@click.option("--epochs", type=int, default=20, show_default=True, help="Times through the training set.")
@click.option("--batch-size", type=int, default=64, show_default=True, help="Items per step.")
@click.option("--learning-rate", type=float, help="[default: 0.001 for adam, 0.1 for sgd]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, batches, dropout and augmentation.")
@click.option("--device", type=click.Choice(DEVICES), default="cpu", show_default=True, help="Where it computes.")
@click.option("--validation-split", type=float, default=0.1, show_default=True, help="Share held back for validation.")
@click.option("--augment", is_flag=False, flag_value=2, type=int, default=0, metavar="[PIXELS]",
              help="Shift each image at random by up to PIXELS (2 if left out).")  # fmt: skip
@click.option("--early-stop", type=int, default=0, metavar="N", help="Stop after N epochs without a better loss.")
@click.option(
    "--loop", type=click.Choice(LOOPS), default="fit", show_default=True, help="Keras: fit, or a custom loop."
)
@click.option("--amp", is_flag=True, help="Mixed precision: bfloat16 on the CPU, float16 with a scaled loss on CUDA.")
@click.option("--resume", is_flag=True, help="Go on after the last checkpoint, to the same weights bit for bit.")
@click.option("--same-start", is_flag=True, help="Compare the losses of all three frameworks, step by step.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.pass_context
def command(context: click.Context, /, same_start: bool, as_json: bool, **given: Any) -> None:
    """Train a model and write its folder: weights, model, history, test set.

    \b
    toolkit train --framework torch --model fashion -o runs/fashion
    toolkit train --same-start --model feedforward -o runs/same-start
    """  # noqa: D301 - click's mark is the backspace character itself
    options = options_of(given, same_start=same_start)
    with _workers() as call:
        if same_start:
            result, text, code = compare(options, call, sys.stderr)
        else:
            result, text, code = train(options, call, sys.stderr)
    click.echo(json.dumps(result, allow_nan=False) if as_json else text)
    context.exit(code)


def options_of(given: Mapping[str, Any], *, same_start: bool) -> TrainOptions:
    """The options as data. Raises click.UsageError where the framework is missing or too much, BadInput for values."""
    if same_start and given["framework"]:
        raise click.UsageError("--same-start trains in all three frameworks: leave --framework out.")
    if not same_start and not given["framework"]:
        raise click.UsageError(f"Missing option '--framework'. Choose from {', '.join(FRAMEWORKS)}.")
    values = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    # Workers have a working directory of their own.
    for name in ("output", "data_dir"):
        values[name] = str(Path(values[name]).absolute()) if values[name] else None
    values["framework"] = given["framework"] or FRAMEWORKS[0]
    values["optimizer"] = given["optimizer"] or ("sgd" if same_start else "adam")
    return TrainOptions.from_json(values)


def train(options: TrainOptions, call: Call, screen: TextIO) -> tuple[Mapping[str, Any], str, int]:
    """Train; returns the result as data, as text for people, and the exit code."""
    with progress(screen) as told:
        result = call(
            _RUNTIMES[options.framework], options.device, "trainers.tasks:train", {"options": options.to_json()}, told
        )
    facts, epochs = result["facts"], result["history"]["epochs"]
    score = f"test accuracy {facts['accuracy']:.1%}, loss {facts['loss']:.4f}"
    lines = [
        f"{options.model} in {options.framework}, {facts['epochs']} epochs: {score}",
        f"  {_rate(epochs[-1]['items_per_second'])} on {options.device} in the last epoch",
        f"  {result['artifact']}: {', '.join(sorted(result['files'].values()))}",
    ]
    if result["history"]["stopped_early"]:
        lines.insert(1, f"  stopped early; the weights are those of epoch {result['history']['best']}")
    return result, "\n".join(lines), EXIT_PASSED


def compare(options: TrainOptions, call: Call, screen: TextIO) -> tuple[Mapping[str, Any], str, int]:
    """Train in all three frameworks from the same start; exit code 1 where their losses part."""
    from trainers import same_start, training

    training.require_ours(Path(options.output), same_start.RESULT)
    losses = {}
    for framework in FRAMEWORKS:
        asked = same_start.comparable(options, framework)
        with progress(screen) as told:
            result = call(
                _RUNTIMES[framework], options.device, "trainers.tasks:same_start", {"options": asked.to_json()}, told
            )
        losses[framework] = result["losses"]
    agreement = same_start.compare(losses)
    files = same_start.write(agreement, options, Path(options.output))
    record = asdict(agreement) | {"model": options.model, "files": files}
    return record, _comparison(agreement, options, files), EXIT_PASSED if agreement.agrees else EXIT_FAILED


def _comparison(agreement: Agreement, options: TrainOptions, files: Mapping[str, str]) -> str:
    verdict = "agree" if agreement.agrees else "part"
    lines = [f"{options.model}, {len(agreement.differences)} steps of {options.optimizer} from the same start"]
    for framework, values in agreement.losses.items():
        lines.append(f"  {framework:<11} loss {values[0]:.6f} -> {values[-1]:.6f}")
    difference = f"largest relative difference {agreement.worst:.1e} at step {agreement.worst_step}"
    lines += [
        f"the losses {verdict}: {difference} (tolerance {agreement.tolerance:.0e})",
        f"  {', '.join(files.values())}",
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def _workers() -> Iterator[Call]:
    from toolkit.worker.pool import WorkerPool

    with WorkerPool() as pool:

        def call(runtime: str, device: str, task: str, params: Mapping[str, Any], told: Told) -> Mapping[str, Any]:
            answer: Mapping[str, Any] = pool.worker(runtime, device).call(
                task, params, on_progress=told, timeout=_NO_LIMIT
            )
            return answer

        yield call


@contextlib.contextmanager
def progress(screen: TextIO) -> Iterator[Told]:
    """Where progress goes: a bar on a terminal, else one line per epoch."""
    if screen.isatty():
        with _bar(screen) as told:
            yield told
    else:
        lines = Lines(screen)
        yield lines
        lines.flush()


@contextlib.contextmanager
def _bar(screen: TextIO) -> Iterator[Told]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=screen), transient=True) as bar:
        task = bar.add_task("starting", total=None, numbers="")

        def told(fields: Mapping[str, Any]) -> None:
            total, done = fields.get("total"), fields.get("done", 0)
            if fields["stage"] == "train" and "epochs" in fields:
                done += (fields["epoch"] - 1) * total
                total *= fields["epochs"]
            bar.update(task, description=_stage(fields), total=total, completed=done, numbers=_numbers(fields))

        yield told


class Lines:
    """One line per epoch: the training's numbers wait for the validation's."""

    def __init__(self, screen: TextIO) -> None:
        self.screen, self.waiting = screen, ""

    def __call__(self, fields: Mapping[str, Any]) -> None:
        if fields["stage"] == "validate":
            self.waiting += f"   validation {_numbers(fields)}"
        self.flush()
        if fields["stage"] == "train" and fields["done"] == fields["total"]:
            self.waiting = f"{_stage(fields)}   {_numbers(fields)}"
        elif fields["stage"] in {"resume", "save"}:
            self.waiting = _stage(fields)

    def flush(self) -> None:
        if self.waiting:
            print(self.waiting, file=self.screen, flush=True)
        self.waiting = ""


def _rate(value: float) -> str:
    return f"{value:,.0f} items/s"


_STAGES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "download": lambda fields: f"downloading {fields['file']}",
    "train": lambda fields: f"epoch {fields['epoch']}" + (f"/{fields['epochs']}" if "epochs" in fields else ""),
    "validate": lambda fields: f"epoch {fields['epoch']}/{fields['epochs']}, validating",
    "resume": lambda fields: f"resuming after epoch {fields['epoch']}",
    "save": lambda fields: f"writing {fields['output']}",
}


def _stage(fields: Mapping[str, Any]) -> str:
    return _STAGES[fields["stage"]](fields)


_NUMBERS: dict[str, Callable[[Any], str]] = {
    "loss": lambda value: f"loss {value:.4f}",
    "accuracy": lambda value: f"accuracy {value:.1%}",
    "items_per_second": _rate,
}


def _numbers(fields: Mapping[str, Any]) -> str:
    return "  ".join(write(fields[name]) for name, write in _NUMBERS.items() if name in fields)

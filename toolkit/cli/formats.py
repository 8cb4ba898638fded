"""`toolkit formats`: what can be written, what runs it, and which ONNX operators can be rebuilt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from toolkit.formats import FORMATS

if TYPE_CHECKING:
    from toolkit.operators import Knowledge

# What opens an export with nothing of ours installed.
OPENED_BY = {
    "onnx": "onnxruntime.InferenceSession('model.onnx')",
    "torchscript": "torch.jit.load('model.pt')",
    "savedmodel": "tensorflow.saved_model.load('saved_model')",
    "hdf5": "keras.models.load_model('model.h5')",
    "keras": "keras.models.load_model('model.keras')",
    "tflite": "ai_edge_litert.interpreter.Interpreter('model.tflite')",
}


@click.command("formats")
@click.option("--ops", is_flag=True, help="List the ONNX operators that PyTorch and Keras models are rebuilt from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(ops: bool, as_json: bool) -> None:
    r"""List the formats that models are exported to.

    \b
    toolkit formats
    toolkit formats --ops
    """
    knowledge = _knowledge() if ops else []
    if as_json:
        click.echo(json.dumps(to_json(knowledge), indent=2))
        return
    click.echo("\n".join(format_lines()))
    if ops:
        click.echo("\n".join(["", *operator_lines(knowledge)]))


def format_lines() -> Iterable[str]:
    rows = [
        (form.name, form.file, form.runtime, " ".join(form.devices), OPENED_BY[form.name]) for form in FORMATS.values()
    ]
    return _table(("format", "in a bundle", "runtime", "devices", "opened with nothing of ours by"), rows)


def operator_lines(knowledge: Sequence[Knowledge]) -> Iterable[str]:
    """One line per operator, with the opsets from which each target has a form of it; "-" where it has none."""
    names = sorted({name for known in knowledge for name in known.operators})
    rows = [(name, *(_since(known.operators.get(name, ())) for known in knowledge)) for name in names]
    yield from _table(("operator", *(known.target for known in knowledge)), rows)
    for known in knowledge:
        if known.missing:
            yield f" {known.target}: {known.missing}"
        else:
            yield f" {known.target}: {len(known.operators)} operators, opsets up to {known.ceiling}"


def to_json(knowledge: Sequence[Knowledge]) -> dict[str, Any]:
    formats = [
        {
            "name": form.name,
            "file": form.file,
            "suffix": form.suffix,
            "runtime": form.runtime,
            "devices": list(form.devices),
            "opened_by": OPENED_BY[form.name],
        }
        for form in FORMATS.values()
    ]
    targets = [
        {"target": known.target, "ceiling": known.ceiling, "missing": known.missing, "operators": dict(known.operators)}
        for known in knowledge
    ]
    return {"formats": formats, **({"operators": targets} if targets else {})}


def _knowledge() -> list[Knowledge]:
    from toolkit.operators import known

    return known()


def _since(opsets: Sequence[int]) -> str:
    return " ".join(map(str, opsets)) or "-"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        yield f" {'  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))}".rstrip()

"""`toolkit predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import options

if TYPE_CHECKING:
    from toolkit.runtime.predictor import Predictor


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", metavar="IMAGE|FILE.npz", type=click.Path(path_type=Path))
@click.option("--format", "form", metavar="FORMAT", help="Which file of a bundle to use.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many classes to show.")
@click.option("--resize", is_flag=True, help="Resize an image of another size instead of refusing it.")
@click.option("--trust", multiple=True, metavar="SHA256", help="Allow exactly this file to run code.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the outputs for FILE.npz here.")
@click.option("--json", "as_json", is_flag=True, help="Print one strict JSON object.")
def command(model: Path, data: Path, form: str | None, device: str, **given: Any) -> None:
    """Predict with MODEL: an image's class, or the outputs for the arrays of an .npz file.

    MODEL is an exported file, a bundle, or a trainer's folder.
    """
    from toolkit.cli.remote import RemoteRunner
    from toolkit.runtime import devices
    from toolkit.runtime.predictor import Predictor
    from toolkit.worker.pool import WorkerPool

    devices.parse(device)
    runtime, task, params = _opener(model, device, form, given["trust"])
    # In a worker, like everything that opens a file: it may crash there, and whatever it prints stays there.
    with WorkerPool() as pool, Predictor(RemoteRunner(pool.worker(runtime, device), task, params)) as predictor:
        if data.suffix == ".npz":
            _arrays(predictor, data, given["output"], as_json=given["as_json"])
        else:
            _image(predictor, data, given["top"], resize=given["resize"], as_json=given["as_json"])


def _opener(model: Path, device: str, form: str | None, trust: Sequence[str]) -> tuple[str, str, dict[str, Any]]:
    """The worker's runtime, its task and the task's parameters that open the model."""
    from exporters.sources import source
    from toolkit import artifact
    from toolkit.runtime.predictor import file_of

    if (model / artifact.SIDECAR).is_file():
        found = source.resolve(model, trust=trust)
        return found.runtime, "exporters.tasks:open_source", {"source": found.to_json(), "device": device}
    path, kind = file_of(model, form, trust)
    params = {"format": kind.name, "path": str(path.absolute()), "device": device, "threads": None}
    return kind.runtime, "toolkit.verification.tasks:open_file", params


def _image(predictor: Predictor, path: Path, top: int, *, resize: bool, as_json: bool) -> None:
    from toolkit.report.plain import plain

    found = predictor.classify(path, resize=resize)
    labels = predictor.contract.labels
    ranked = sorted(range(len(found.scores)), key=lambda index: -found.scores[index])[:top]
    named = [{"index": i, "label": labels[i] if i < len(labels) else str(i), "score": found.scores[i]} for i in ranked]
    if as_json:
        options.show_json({"image": str(path), "predictions": named, "ran_on": predictor.ran_on})
        return
    for item in named:
        click.echo(f"{plain(str(item['label']))}  {item['score']:.4f}" if top > 1 else plain(str(item["label"])))


def _arrays(predictor: Predictor, path: Path, output: Path | None, *, as_json: bool) -> None:
    import numpy as np

    from toolkit.verification.plan import load_data

    data = load_data(path, predictor.signature)
    outputs = predictor.run(data.arrays)
    if output is not None:
        from toolkit.files import replacing

        with replacing(output) as stage, stage.open("wb") as file:
            arrays: dict[str, Any] = dict(outputs)
            np.savez(file, **arrays)
    summary = {name: {"dtype": str(array.dtype), "shape": list(array.shape)} for name, array in outputs.items()}
    if as_json:
        options.show_json({"outputs": summary, "written": str(output) if output else None})
        return
    for name, array in outputs.items():
        click.echo(f"{name}: {array.dtype}{list(array.shape)}")
        click.echo(np.array2string(array, precision=6, threshold=40))

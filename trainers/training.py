"""A whole training run, from options to an artifact's folder; a framework's part in it is a `Trainer`.

Framework-free (numpy; Pillow and matplotlib where a file is written).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit import files
from toolkit.artifact import SIDECAR, Artifact
from toolkit.errors import NotWritable
from trainers import data, loop
from trainers.architectures import ARCHITECTURES, Architecture
from trainers.checkpoint import Checkpoint
from trainers.data import Images, Part
from trainers.loop import History, Items, Learner, Report, Score
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A framework's two parts in a run: a learner from the options, the architecture and the training set; and its model's
# files in a folder, returned as role -> file name.
MakeLearner = Callable[[TrainOptions, Architecture, Part], Learner]
Save = Callable[[Any, Path], dict[str, str]]


@dataclass(frozen=True)
class Prepared:
    """A data set as a model's inputs, with the contract that led to them."""

    images: Images
    artifact: Artifact  # without files: signature and contract
    items: Items
    test: Part


def prepare(options: TrainOptions, report: Report) -> Prepared:
    """Load the data set once and bring it into the model's form. Raises BadInput where it cannot be had."""
    architecture = ARCHITECTURES[options.model]
    images = data.load(options.dataset, Path(options.data_dir) if options.data_dir else None, report)
    contract = architecture.contract(images, options.augment)
    preprocessing = contract.preprocessing
    assert preprocessing is not None
    whole, test = (Part(data.prepare(part.x, preprocessing), part.labels) for part in (images.train, images.test))
    train, validation = loop.split(whole, options.validation_split, options.seed)
    artifact = Artifact(Path(options.output), options.framework, architecture.signature, contract)
    return Prepared(images, artifact, Items(train, validation, data.background(preprocessing)), test)


def run(options: TrainOptions, report: Report, make_learner: MakeLearner, save: Save) -> Artifact:
    """Train, evaluate on the test set and write the folder; it appears whole or not at all.

    Raises BadInput for data or a checkpoint that cannot be used, NotWritable or DiskFull for the destination,
    DeviceMissing where the device is not there.
    """
    output = Path(options.output)
    require_ours(output)
    prepared = prepare(options, report)
    checkpoint = Checkpoint(output)
    learner = make_learner(options, ARCHITECTURES[options.model], prepared.items.train)
    history = loop.fit(learner, prepared.items, options, checkpoint, report)
    score = learner.evaluate(prepared.test)
    plotting = find_spec("matplotlib") is not None
    report({"stage": "save", "output": str(output), "plot": plotting, **asdict(score)})
    with files.replacing(output) as folder:
        folder.mkdir()
        artifact = replace(
            prepared.artifact,
            path=folder,
            factory=learner.factory,
            files=save(learner, folder) | _COMMON | (_PLOT if plotting else {}),
            facts=_facts(options, history, score),
        )
        _write_common(artifact, prepared, options, history, score)
    checkpoint.remove()
    return replace(artifact, path=output)


_COMMON = {"history": "history.json", "test": "test.npz", "sample": "sample.png"}
_PLOT = {"plot": "history.png"}


def require_ours(output: Path, mark: str = SIDECAR) -> None:
    """A finished run, told by the file `mark`, may be replaced. Raises NotWritable for any other folder or file."""
    if output.is_dir() and any(output.iterdir()) and not (output / mark).exists():
        raise NotWritable(
            "the folder holds something else than a training run",
            where=str(output),
            hint="Choose a new folder with -o.",
        )
    if output.exists() and not output.is_dir():
        raise NotWritable("it is a file", where=str(output), hint="Choose a new folder with -o.")


def _facts(options: TrainOptions, history: History, score: Score) -> dict[str, Any]:
    return {
        "dataset": options.dataset,
        "model": options.model,
        "accuracy": score.accuracy,
        "loss": score.loss,
        "epochs": len(history.epochs),
        "seed": options.seed,
        "device": options.device,
        "amp": options.amp,
    }


def _write_common(
    artifact: Artifact, prepared: Prepared, options: TrainOptions, history: History, score: Score
) -> None:
    """What every framework's folder holds besides the model."""
    artifact.save()
    record = {"schema": 1, "options": options.to_json(), **history.to_json(), "test": asdict(score)}
    artifact.file("history").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if "plot" in artifact.files:
        from trainers import plots

        title = f"{options.model} on {options.dataset}, {options.framework}"
        plots.history(history, score, title, artifact.file("plot"))
    np.savez(artifact.file("test"), x=prepared.test.x, labels=prepared.test.labels)
    _write_image(prepared.images.test.x[0], artifact.file("sample"))


def _write_image(image: NDArray[np.uint8], path: Path) -> None:
    from PIL import Image

    Image.fromarray(image, mode=None).save(path)

"""`toolkit.load(path)`: an exported model of any format, ready to predict in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from toolkit import formats, manifest, safety
from toolkit.contract import Contract
from toolkit.errors import BadInput, RuntimeMissing
from toolkit.runtime import image, pictures
from toolkit.runtime.runner import Runner
from toolkit.signature import Signature

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Prediction:
    """One predicted class: its index, its label where the contract has labels, and every class's score."""

    index: int
    label: str
    scores: tuple[float, ...]


class Predictor:
    """An opened model. `run` takes and returns arrays by name; `classify` takes an image file.

    Close it with `close()` or use it as a context manager; it also closes when it is garbage-collected.
    """

    def __init__(self, runner: Runner) -> None:
        self._stack = contextlib.ExitStack()
        try:
            self._runner = self._stack.enter_context(runner)
        except ModuleNotFoundError as error:
            raise RuntimeMissing(
                f"the package '{error.name}' is not installed", hint="`toolkit doctor` says what to run."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    @property
    def signature(self) -> Signature:
        return self._runner.signature

    @property
    def contract(self) -> Contract:
        return self._runner.contract

    @property
    def ran_on(self) -> str:
        """The device, read back from the runtime."""
        return self._runner.ran_on

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Predict: arrays by input name -> arrays by output name. Raises BadInput for a wrong name, dtype or shape."""
        return self._runner.run(inputs)

    def preprocess(self, raw: Array) -> dict[str, Array]:
        """Raw pictures, uint8 (batch, height, width, 3) in RGB order -> the model's input, by its name.

        The same NumPy code for every runtime; a file with a baked pipeline takes them as they are. Raises BadInput
        where the model carries no pipeline, or the pictures are something else.
        """
        contract = self.contract
        if contract.pipeline is None or contract.pipeline.input is None:
            raise BadInput(
                "the model carries no pipeline, so pictures cannot become its input",
                hint="Export it with --preprocess FILE, or pass arrays to run().",
            )
        name = contract.pipeline.input
        return {name: raw if contract.baked else pictures.apply(contract.pipeline, raw)}

    def _scores(self, path: Path, *, resize: bool) -> Array:
        """The scores of an image file, by the pipeline or by the older, fixed preprocessing."""
        contract = self.contract
        outputs = [spec.name for spec in self.signature.outputs if len(spec.shape) == 2]
        if contract.pipeline is not None and (contract.scores or len(outputs) == 1):
            inputs, name = self.preprocess(image.pixels(path, "RGB")[None]), contract.scores or outputs[0]
            return cast("Array", self.run(inputs)[name][0])
        if contract.preprocessing is None or contract.scores is None:
            raise BadInput(
                "the model carries no preprocessing, so an image cannot become its input",
                hint="Pass arrays instead: toolkit predict MODEL FILE.npz.",
            )
        sample = image.load(path, contract.preprocessing, resize=resize)
        return cast("Array", self.run({contract.preprocessing.input: sample})[contract.scores][0])

    def classify(self, path: Path | str, *, resize: bool = False) -> Prediction:
        """The class of an image file. Raises BadInput where the model's contract says nothing of images."""
        import numpy as np

        scores, labels = self._scores(Path(path), resize=resize), self.contract.labels
        if not np.isfinite(scores).all():
            raise BadInput("the model's scores are not finite", where=f"output '{self.contract.scores}'")
        index = int(np.argmax(scores))
        label = labels[index] if index < len(labels) else str(index)
        return Prediction(index, label, tuple(float(score) for score in scores))


def load(
    path: Path | str,
    *,
    device: str = "cpu",
    threads: int | None = None,
    format: str | None = None,  # noqa: A002 - the word that users know
    trust: Sequence[str] = (),
) -> Predictor:
    """Open an exported file, or one format of a bundle, in this process.

    A bundle is re-hashed first. `format` picks the file of a bundle; left out, the bundle's first format whose
    runtime is installed. `trust` holds SHA-256 prefixes of files that may do more than compute. Raises BadInput,
    UnknownFormat, UnsafeFile, RuntimeMissing or DeviceMissing.
    """
    file, form = file_of(Path(path), format, trust)
    return Predictor(form.open(file, device, threads))


def file_of(
    path: Path,
    format: str | None = None,  # noqa: A002 - as of `load`
    trust: Sequence[str] = (),
) -> tuple[Path, formats.Format]:
    """The file to open and its format: the path itself, or the asked-for or first usable file of a bundle."""
    file, form = _chosen(path, format)
    safety.require(file, form.name, trust)
    return file, form


def _chosen(path: Path, format: str | None) -> tuple[Path, formats.Format]:  # noqa: A002 - as of `load`
    formats.check_readable(path)
    if not (path / manifest.NAME).is_file():
        return path, formats.by_name(format, "--format") if format else formats.of_path(path)
    bundle = manifest.check(path)
    name = format or _first_installed(bundle.formats)
    if name not in bundle.formats:
        raise BadInput(f"the bundle holds no {name}; it holds {', '.join(bundle.formats)}", where=str(path))
    return path / bundle.formats[name], formats.by_name(name)


def _first_installed(names: Mapping[str, str]) -> str:
    from importlib.util import find_spec

    for name in names:
        if find_spec(formats.by_name(name).package) is not None:
            return name
    raise RuntimeMissing(
        f"none of the runtimes of {', '.join(names)} is installed", hint="`toolkit doctor` says what to run."
    )

"""`toolkit.load(path)`: an exported model of any format, ready to predict in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from toolkit import formats, manifest, safety
from toolkit.contract import Contract
from toolkit.errors import BadInput, RuntimeMissing
from toolkit.runtime import image
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

    def classify(self, path: Path | str, *, resize: bool = False) -> Prediction:
        """The class of an image file. Raises BadInput where the model's contract says nothing of images."""
        import numpy as np

        contract = self.contract
        if contract.preprocessing is None or contract.scores is None:
            raise BadInput(
                "the model carries no preprocessing, so an image cannot become its input",
                hint="Pass arrays instead: toolkit predict MODEL FILE.npz.",
            )
        sample = image.load(Path(path), contract.preprocessing, resize=resize)
        scores = self.run({contract.preprocessing.input: sample})[contract.scores][0]
        if not np.isfinite(scores).all():
            raise BadInput("the model's scores are not finite", where=f"output '{contract.scores}'")
        index = int(np.argmax(scores))
        label = contract.labels[index] if index < len(contract.labels) else str(index)
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

"""A source behind a declared pipeline, which takes raw pictures: what a file with a baked pipeline is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from exporters.precision.kinds import FULL
from exporters.sources.source import Source
from toolkit.errors import BadInput
from toolkit.pipeline import Pipeline, read
from toolkit.runtime import pictures
from toolkit.runtime.runner import Runner
from toolkit.signature import BATCH, Dim, Signature, TensorSpec

Arrays = Mapping[str, np.ndarray[Any, Any]]


def behind(resolved: Source, preprocess: Pipeline | str | Path | None, *, baked: bool) -> Source:
    """The source with its pipeline. Raises BadInput where one cannot be read, or is to be baked and there is none."""
    if preprocess is None:
        if baked:
            raise BadInput(
                "there is no pipeline to put into the files", where="--bake-preprocess",
                hint="Declare one with --preprocess FILE, or as [preprocess] in toolkit.toml.",
            )  # fmt: skip
        return resolved
    found = preprocess if isinstance(preprocess, Pipeline) else read(Path(preprocess))
    return replace(resolved, pipeline=found.to_json(), baked=baked)


def require_full(source: Source, precision: str) -> None:
    """Raise BadInput for a baked pipeline in fewer bits: pixels and the weights of a resize would lose theirs, too."""
    if source.baked and precision != FULL:
        raise BadInput(
            f"a pipeline is not written in {precision}", where="--bake-preprocess",
            hint="Leave it out: the bundle keeps the pipeline, and the loader carries it out.",
        )  # fmt: skip


class PreprocessedRunner(Runner):
    """Another runner whose input goes through the pipeline first, as one step: its time counts as the model's."""

    def __init__(self, inner: Runner, pipeline: Pipeline) -> None:
        self.inner = inner
        self.pipeline = pipeline

    def __enter__(self) -> Self:
        self.inner.__enter__()
        self.pipeline = fitted(self.pipeline, self.inner.signature)
        assert self.pipeline.input is not None
        self.name = self.pipeline.input
        self.signature = raw_signature(self.pipeline, self.inner.signature)
        self.contract = replace(self.inner.contract, pipeline=self.pipeline, baked=True)
        self.runtime, self.ran_on, self.notes = self.inner.runtime, self.inner.ran_on, self.inner.notes
        self.was_training = getattr(self.inner, "was_training", False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.inner.__exit__(kind, error, trace)

    def prepare(self, inputs: Arrays) -> Arrays:
        return inputs

    def invoke(self, feed: Arrays) -> Any:
        return self.inner.invoke(self.inner.prepare(self.preprocessed(feed)))

    def fetch(self, outputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        return self.inner.fetch(outputs)

    def synchronize(self) -> None:
        self.inner.synchronize()

    def preprocessed(self, inputs: Arrays, dtype: type = np.float32) -> dict[str, np.ndarray[Any, Any]]:
        """The inputs as the model itself takes them."""
        return {**inputs, self.name: pictures.apply(self.pipeline, inputs[self.name], dtype)}


def fitted(pipeline: Pipeline, signature: Signature) -> Pipeline:
    """The pipeline with the name of the input that it feeds. Raises BadInput where the model takes no such pictures."""
    name = pipeline.input or (signature.input_names[0] if len(signature.inputs) == 1 else None)
    if name is None or name not in signature.input_names:
        what = f"the model has no input '{name}'" if name else "the model has several inputs"
        names = ", ".join(signature.input_names)
        raise BadInput(what, where="preprocess", hint=f"Say which takes the pictures: input = ... ({names}).")
    spec = signature.input(name)
    if spec.dtype != "float32" or len(spec.shape) != 4 or _parts(spec, pipeline)[1] != 3:
        made = "batch, 3, height, width" if pipeline.layout == "nchw" else "batch, height, width, 3"
        raise BadInput(
            f"the pipeline makes float32[{made}], and the model takes {spec.dtype}"
            f"[{', '.join(map(str, spec.shape))}]",
            where=f"preprocess, input '{name}'", hint="layout = \"nchw\" or \"nhwc\" says where the channels are.",
        )  # fmt: skip
    sides = _parts(spec, pipeline)[2:]
    for given, taken in zip(pipeline.size or (), sides, strict=False):
        if isinstance(taken, int) and given != taken:
            raise BadInput(
                f"the pipeline makes pictures of {list(pipeline.size or ())}, and the model takes {list(sides)}",
                where=f"preprocess, input '{name}'", hint="Change resize or crop.",
            )  # fmt: skip
    if isinstance(pipeline.resize, int) and pipeline.crop is None and any(isinstance(side, int) for side in sides):
        raise BadInput(
            f"the pipeline makes pictures of any proportions, and the model takes {list(sides)}",
            where=f"preprocess, input '{name}'", hint="Add a crop, or resize to [height, width].",
        )  # fmt: skip
    return replace(pipeline, input=name)


def raw_signature(pipeline: Pipeline, signature: Signature) -> Signature:
    """The signature with raw pictures, of any size where the pipeline resizes them. Raises BadInput for a bare crop."""
    if pipeline.crop is not None and pipeline.resize is None:
        raise BadInput(
            "a picture may be smaller than the crop, and a file cannot refuse it", where="preprocess, crop",
            hint="Resize first, or leave out --bake-preprocess.",
        )  # fmt: skip
    assert pipeline.input is not None
    old = signature.input(pipeline.input)
    batch, _, *sides = _parts(old, pipeline)
    if pipeline.resize is not None:
        taken = set(signature.symbols) - {side for side in sides if isinstance(side, str)}
        sides = [name if name not in taken else f"{pipeline.input}_{name}" for name in ("height", "width")]
    made = TensorSpec(old.name, "uint8", (batch if isinstance(batch, int) else batch or BATCH, *sides, 3))
    inputs = tuple(made if spec.name == old.name else spec for spec in signature.inputs)
    return replace(signature, inputs=inputs)


def _parts(spec: TensorSpec, pipeline: Pipeline) -> tuple[Dim, ...]:
    """Batch, channels, height and width of an input."""
    places = (0, 1, 2, 3) if pipeline.layout == "nchw" else (0, 3, 1, 2)
    return tuple(spec.shape[place] for place in places)

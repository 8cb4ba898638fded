"""Recognise a source without running it: a path, a "package.module:factory", or a model object of the caller's own.

Imports no framework and runs nothing of a source: each kind has a probe of its own (`kinds`), which looks at names,
first bytes, archives' tables of contents, or the imports in a module's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit import formats
from toolkit.errors import BadInput, UnknownFormat
from toolkit.signature import Signature, parse_input


@dataclass(frozen=True)
class Source:
    """Where a model comes from, as plain data that travels to a worker.

    `inputs` are `--input` texts, `search` the folders in which a factory's module is looked for, `serving` the name of
    the one signature that is wanted of a file with several. `facts` is what a kind's probe tells its opener.
    `pipeline` says how its input is made of raw pictures; where it is `baked`, they are what the source takes here.
    """

    kind: str
    name: str
    path: str | None = None
    factory: str | None = None
    inputs: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    serving: str | None = None
    signature: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    pipeline: Mapping[str, Any] | None = None
    baked: bool = False

    @property
    def runtime(self) -> str:
        """The worker that opens it: "torch", "tensorflow", "tf_keras" or "onnxruntime"."""
        return kind_named(self.kind).runtime

    @property
    def opener(self) -> str:
        return kind_named(self.kind).opener

    def declared_inputs(self) -> Signature | None:
        """The signature's inputs as declared with `--input`, without outputs; None where nothing was declared."""
        if self.signature is not None:
            return Signature.from_json(self.signature)
        if not self.inputs:
            return None
        parsed = [parse_input(text) for text in self.inputs]
        limits = {symbol: largest for _, found, _ in parsed for symbol, largest in found.items()}
        multiples = {symbol: number for *_, found in parsed for symbol, number in found.items()}
        return Signature(
            tuple(spec for spec, *_ in parsed),
            (),
            limits=tuple(sorted(limits.items())),
            multiples=tuple(sorted(multiples.items())),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Source:
        return Source(**{**data, "inputs": tuple(data["inputs"]), "search": tuple(data["search"])})


@dataclass(frozen=True)
class Kind:
    """One kind of source: the worker that opens it, "module:function" that does, and how the README describes it.

    `example` is what a user writes after `toolkit export`; empty for objects of the caller's own.
    """

    name: str
    runtime: str
    opener: str
    words: str
    example: str = ""


@dataclass(frozen=True)
class Asked:
    """What a probe is given beside the source as described so far: the user's text, and what the user allows."""

    text: str
    framework: str | None = None
    trust: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return Path(self.text)


def resolve(
    source: Any,
    *,
    inputs: Sequence[str] = (),
    factory: str | None = None,
    framework: str | None = None,
    signature: str | None = None,
    trust: Sequence[str] = (),
    allow: Sequence[str] = (),
    search: Sequence[str] | None = None,
) -> Source:
    """Recognise a source. Raises BadInput, UnknownFormat, FactoryFailed or UnsafeFile; nothing of it is run.

    Args:
        source: a path, a "package.module:factory" string, a "library:model" name, or a model object.
        inputs: `NAME:DTYPE[DIM,...]` texts.
        factory: what rebuilds the architecture where the path holds weights alone.
        framework: "torch", "keras" or "tensorflow", where a factory's module does not show it.
        signature: which of a SavedModel's signatures is wanted.
        trust: SHA-256 prefixes of files that may run code when they are opened.
        allow: classes, as "package.module.Class", that a pickle may build; nothing else in it is called.
        search: folders to look for the factory's module in; the working directory by default.
    """
    from exporters.sources import kinds

    folders = tuple(search if search is not None else [str(Path.cwd())])
    common = Source("", "", inputs=tuple(inputs), search=folders, serving=signature)
    for text in inputs:
        parse_input(text)
    if not isinstance(source, str | Path):
        return replace(common, kind=f"{framework_of(source)}-object", name=type(source).__name__)
    asked = Asked(str(source), framework, tuple(trust), tuple(allow))
    described = replace(common, name=asked.text, factory=factory)
    found = kinds.first(kinds.BY_NAME, described, asked)
    if found is None:
        formats.check_readable(asked.path)
        described = replace(described, path=str(asked.path.absolute()))
        found = kinds.first(kinds.BY_CONTENT, described, asked)
    assert found is not None, "the last probe raises"
    _require_one_signature(found)
    return found


def _require_one_signature(source: Source) -> None:
    if source.serving is not None and source.kind != "savedmodel":
        raise BadInput(
            f"a {source.kind} source has one signature, and no names for it", where="--signature", hint="Leave it out."
        )


def kind_named(name: str) -> Kind:
    from exporters.sources import kinds

    return kinds.KINDS[name]


def require_factory(source: Source) -> None:
    """Raise BadInput where the file holds weights alone and the user has not said what builds their model."""
    if source.factory is None:
        raise BadInput(
            "the file holds weights alone, not the model that they belong to",
            where=source.path,
            hint="Name what builds the model: --factory package.module:callable.",
        )


def framework_of(model: Any) -> str:
    """A model object's framework ("torch", "keras", "tensorflow") by its class's ancestry. Raises UnknownFormat."""
    for kind in type(model).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in ("torch", "keras", "tensorflow"):
            return root
    raise UnknownFormat(
        f"a {type(model).__module__}.{type(model).__qualname__} is not a model",
        where="source",
        hint="Pass a torch.nn.Module, a keras.Model, a tf.Module, a path, or 'package.module:factory'.",
    )

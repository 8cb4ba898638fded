"""Recognise a source without running it: a path, a "package.module:factory", or a model object of the caller's own.

Imports no framework: files are told apart by their first bytes and their archives' tables of contents, factories by
the imports in their module's text.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit import artifact, formats, manifest, safety
from toolkit.errors import BadInput, UnknownFormat, UnsafeFile
from toolkit.files import digest
from toolkit.signature import Signature, parse_input

_FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")
_WEIGHTS_ONLY = ".weights.h5"

# Kind -> (the worker that opens it, "module:function" that does).
OPENERS: dict[str, tuple[str, str]] = {
    "torch-factory": ("torch", "exporters.sources.torch_module:open_factory"),
    "torch-weights": ("torch", "exporters.sources.torch_module:open_weights"),
    "torch-pickle": ("torch", "exporters.sources.torch_module:open_pickle"),
    "torch-object": ("torch", "exporters.sources.torch_module:open_object"),
    "keras-factory": ("tensorflow", "exporters.sources.keras_model:open_factory"),
    "keras-weights": ("tensorflow", "exporters.sources.keras_model:open_weights"),
    "keras-file": ("tensorflow", "exporters.sources.keras_model:open_file"),
    "keras-object": ("tensorflow", "exporters.sources.keras_model:open_object"),
    "tensorflow-factory": ("tensorflow", "exporters.sources.tensorflow_module:open_factory"),
    "tensorflow-object": ("tensorflow", "exporters.sources.tensorflow_module:open_object"),
    "trained-torch": ("torch", "exporters.sources.trained:open_torch"),
    "trained-keras": ("tensorflow", "exporters.sources.trained:open_keras"),
    "trained-tensorflow": ("tensorflow", "exporters.sources.trained:open_tensorflow"),
    "onnx": ("onnxruntime", "exporters.sources.exported:open_file"),
    "torchscript": ("torch", "exporters.sources.exported:open_file"),
    "savedmodel": ("tensorflow", "exporters.sources.exported:open_file"),
    "hdf5": ("tensorflow", "exporters.sources.exported:open_file"),
}

# How a framework's models are called in an error, by the first name of the module that defines their class.
_FRAMEWORKS = {"torch": "torch", "keras": "keras", "tensorflow": "tensorflow", "pytorch_lightning": "torch",
               "lightning": "torch", "timm": "torch", "torchvision": "torch", "transformers": "torch"}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where a model comes from, as plain data that travels to a worker.

    `inputs` are `--input` texts, `search` the folders in which a factory's module is looked for, `trust` the SHA-256
    prefixes of files that the user allows to run code.
    """

    kind: str
    name: str
    path: str | None = None
    factory: str | None = None
    inputs: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    signature: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def runtime(self) -> str:
        """The worker that opens it: "torch", "tensorflow" or "onnxruntime"."""
        return OPENERS[self.kind][0]

    @property
    def opener(self) -> str:
        return OPENERS[self.kind][1]

    def declared_inputs(self) -> Signature | None:
        """The signature's inputs as declared with `--input`, without outputs; None where nothing was declared."""
        if self.signature is not None:
            return Signature.from_json(self.signature)
        if not self.inputs:
            return None
        parsed = [parse_input(text) for text in self.inputs]
        limits = {symbol: largest for _, found in parsed for symbol, largest in found.items()}
        return Signature(tuple(spec for spec, _ in parsed), (), limits=tuple(sorted(limits.items())))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Source:
        return Source(**{**data, "inputs": tuple(data["inputs"]), "search": tuple(data["search"])})


def resolve(
    source: Any,
    *,
    inputs: Sequence[str] = (),
    factory: str | None = None,
    framework: str | None = None,
    trust: Sequence[str] = (),
    search: Sequence[str] | None = None,
) -> Source:
    """Recognise a source. Raises BadInput, UnknownFormat, FactoryFailed or UnsafeFile; nothing of it is run.

    Args:
        source: a path, a "package.module:factory" string, or a model object.
        inputs: `NAME:DTYPE[DIM,...]` texts.
        factory: what rebuilds the architecture where the path holds weights alone.
        framework: "torch", "keras" or "tensorflow", where a factory's module does not show it.
        trust: SHA-256 prefixes of files that may run code when they are opened.
        search: folders to look for the factory's module in; the working directory by default.
    """
    folders = tuple(search if search is not None else [str(Path.cwd())])
    common = Source("", "", inputs=tuple(inputs), search=folders)
    for text in inputs:
        parse_input(text)
    if not isinstance(source, str | Path):
        return replace(common, kind=f"{framework_of(source)}-object", name=type(source).__name__)
    path = Path(source)
    if _FACTORY.match(str(source)) and not os.path.lexists(path):
        kind = f"{framework or factory_framework(str(source), folders)}-factory"
        return replace(common, kind=kind, name=str(source), factory=str(source))
    formats.check_readable(path)
    described = replace(common, name=str(source), path=str(path.absolute()), factory=factory)
    return _recognise_folder(path, described, trust) if path.is_dir() else _recognise_file(path, described, trust)


def _recognise_folder(path: Path, source: Source, trust: Sequence[str]) -> Source:
    if (path / artifact.SIDECAR).is_file():
        found = artifact.load(path)
        if f"trained-{found.format}" not in OPENERS:
            raise BadInput(f"it names the framework '{found.format}'", where=str(path / artifact.SIDECAR))
        return replace(
            source,
            kind=f"trained-{found.format}",
            signature=found.signature.to_json(),
            facts={"contract": found.contract.to_json(), "data": _data_file(found)},
        )
    if (path / manifest.NAME).is_file():
        raise BadInput(
            "a bundle is what an export leaves, not a source",
            where=str(path),
            hint=f"Name one of its files, for instance {path / next(iter(manifest.load(path).formats.values()))}.",
        )
    return _exported(path, source, trust)


def _exported(path: Path, source: Source, trust: Sequence[str]) -> Source:
    """A file of one of our formats; TorchScript and SavedModel are programs, which may do more than compute."""
    kind = formats.of_path(path).name
    if kind == "tflite":
        raise BadInput(
            "a LiteRT file is what an export leaves, not a source",
            where=str(path),
            hint="Name the model that it was made from.",
        )
    safety.require(path, kind, trust)
    return replace(source, kind=kind)


def _data_file(found: artifact.Artifact) -> str | None:
    return str(found.file("test").absolute()) if "test" in found.files else None


def _recognise_file(path: Path, source: Source, trust: Sequence[str]) -> Source:
    from exporters.sources import pickles

    if path.suffix == ".keras" or path.name.endswith(_WEIGHTS_ONLY):
        return replace(
            source, kind="keras-file" if path.suffix == ".keras" else _needs_factory(source, "keras-weights")
        )
    if path.suffix == ".pt2":
        raise UnsafeFile(
            "a .pt2 archive may run code when PyTorch opens it",
            where=str(path),
            hint="Export from the model itself, or from its TorchScript file.",
        )
    if path.suffix == ".safetensors":
        return replace(source, kind=_needs_factory(source, "torch-weights"))
    content = pickles.content(path)
    if content is not None:
        if content.holds_only_weights:
            return replace(source, kind=_needs_factory(source, "torch-weights"))
        return replace(source, kind="torch-pickle", facts={"sha256": _trusted(path, content.globals, trust)})
    return _exported(path, source, trust)


def _needs_factory(source: Source, kind: str) -> str:
    if source.factory is None:
        raise BadInput(
            "the file holds weights alone, not the model that they belong to",
            where=source.path,
            hint="Name what builds the model: --factory package.module:callable.",
        )
    return kind


def _trusted(path: Path, names: Sequence[str], trust: Sequence[str]) -> str:
    """The file's SHA-256 if the user trusts it. Raises UnsafeFile with what the pickle would call, unrun."""
    found = digest(path)
    if safety.trusted(path, trust):
        return found
    called = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    raise UnsafeFile(
        f"a pickled model runs code when it is opened (it calls {called})",
        where=str(path),
        hint=f"If the file is your own, allow exactly this one: --trust {found[:16]}",
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


def factory_framework(factory: str, folders: Sequence[str]) -> str:
    """The framework of a factory, going by what its module imports. Raises BadInput where that does not tell."""
    module = factory.partition(":")[0]
    text = _module_text(factory, folders)
    found = dict.fromkeys(_FRAMEWORKS[name] for name in _imports(text, module) if name in _FRAMEWORKS)
    if "keras" in found:
        found.pop("tensorflow", None)
    if len(found) == 1:
        return next(iter(found))
    what = "no framework" if not found else " and ".join(found)
    raise BadInput(
        f"its module imports {what}", where=factory, hint="Say which it is: --framework torch|keras|tensorflow."
    )


def _module_text(factory: str, folders: Sequence[str]) -> str:
    import sys

    module = factory.partition(":")[0]
    relative = Path(*module.split("."))
    for folder in [*folders, *sys.path]:
        for candidate in (Path(folder) / relative.with_suffix(".py"), Path(folder) / relative / "__init__.py"):
            if candidate.is_file():
                return candidate.read_text(encoding="utf-8", errors="replace")
    raise BadInput(
        f"there is no module '{module}'",
        where=factory,
        hint=f"Looked in {', '.join(folders)} and the installed packages; the name is package.module:callable.",
    )


def _imports(text: str, module: str) -> list[str]:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise BadInput(f"line {error.lineno}: {error.msg}", where=module) from None
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name.partition(".")[0] for alias in node.names]
            names += ["keras" for alias in node.names if alias.name.startswith("tensorflow.keras")]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append("keras" if node.module.startswith("tensorflow.keras") else node.module.partition(".")[0])
    return names

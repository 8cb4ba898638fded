"""A TensorFlow checkpoint, put into the tf.Module or Keras model that a factory builds.

It is named by its prefix, its .index file, or its folder (then the newest in it). Every variable of the model must be
in it; TensorFlow finds them by the attributes that held the model when it was saved, or, in files of TensorFlow 1, by
their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.sources import factory
from exporters.sources.keras_model import KerasRunner
from exporters.sources.source import Asked, Kind, Source, require_factory
from exporters.sources.tensorflow_module import TensorFlowModuleRunner
from toolkit.causes import said
from toolkit.errors import BadInput

KINDS = (
    Kind("tensorflow-checkpoint", "tensorflow", "exporters.sources.tensorflow_checkpoint:open_module",
         "a TensorFlow checkpoint", "folder/ckpt-1 --factory package.module:callable"),
    Kind("keras-checkpoint", "tensorflow", "exporters.sources.tensorflow_checkpoint:open_keras",
         "a TensorFlow checkpoint of a Keras model", "folder/ckpt-1 --factory package.module:callable"),
)  # fmt: skip

_INDEX = ".index"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def probe(source: Source, asked: Asked) -> Source | None:
    """A prefix beside which there is an index, an index, or a folder with a list of checkpoints."""
    prefix = prefix_of(asked.path)
    if prefix is None:
        return None
    source = replace(source, path=str(prefix.absolute()))
    require_factory(source)
    assert source.factory is not None
    of = asked.framework or factory.factory_framework(source.factory, source.search)
    kind = "keras-checkpoint" if of == "keras" else "tensorflow-checkpoint"
    return replace(source, kind=kind)


def prefix_of(path: Path) -> Path | None:
    """The prefix of the checkpoint that a path names; None where it names none."""
    if path.suffix == _INDEX and path.is_file():
        return path.with_suffix("")
    if not path.exists() and path.name and path.with_name(path.name + _INDEX).is_file():
        return path
    listed = path / "checkpoint"
    if path.is_dir() and listed.is_file():
        for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            newest = path / value.strip().strip('"')
            if key == "model_checkpoint_path" and newest.parent == path:
                return newest if newest.with_name(newest.name + _INDEX).is_file() else None
    return None


def open_module(source: Source, device: str, threads: int | None) -> TensorFlowModuleRunner:
    return TensorFlowModuleRunner(source, lambda tf: _restored(tf, source), device, threads)


def open_keras(source: Source, device: str, threads: int | None) -> KerasRunner:
    def build(_: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        return _restored(tf, source)

    return KerasRunner(source, build, device, threads)


def _restored(tf: Any, source: Source) -> tuple[Any, Any]:
    assert source.factory is not None
    model, example = factory.build(source.factory, source.search)
    variables = {id(variable): variable for variable in getattr(model, "variables", ())}
    if not variables:
        raise BadInput("what it builds has no variables to restore", where=source.factory)
    try:
        reader = tf.train.load_checkpoint(source.path)
        names = reader.get_variable_to_shape_map()
    except Exception as error:
        raise BadInput(f"TensorFlow cannot read it ({said(error)})", where=source.path) from error
    by_name = _restore_objects if _GRAPH in names else _restore_names
    wrong = by_name(tf, model, str(source.path), reader, names)
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise BadInput(
            f"the checkpoint does not fit the model of {source.factory} ({', '.join(wrong[:4])}{more})",
            where=source.path,
        )
    return model, example


def _restore_objects(tf: Any, model: Any, prefix: str, reader: Any, names: Any) -> list[str]:
    """Restore by attributes: the model is the checkpoint's root, or one of the attributes at its top."""
    errors = []
    for checkpoint in _roots(tf, model, names):
        try:
            checkpoint.read(prefix).assert_existing_objects_matched().expect_partial()
        except (AssertionError, ValueError) as error:
            errors.append(said(error))
        else:
            return []
    del reader
    return errors[:1]


def _roots(tf: Any, model: Any, names: Any) -> Iterator[Any]:
    yield tf.train.Checkpoint(model)
    for attribute in sorted({name.partition("/")[0] for name in names if name.endswith(_VALUE)}):
        yield tf.train.Checkpoint(**{attribute: model})


def _restore_names(tf: Any, model: Any, prefix: str, reader: Any, names: Any) -> list[str]:
    """Restore a checkpoint of TensorFlow 1: each variable from the tensor of its name."""
    del tf, prefix
    missing = []
    for variable in model.variables:
        name = variable.name.removesuffix(":0")
        if name in names and list(names[name]) == list(variable.shape):
            variable.assign(reader.get_tensor(name))
        else:
            missing.append(name)
    return missing

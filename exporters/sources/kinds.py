"""All kinds of source, one module each, in the order in which their probes are asked.

A probe is `probe(source, asked)`: it returns the source completed where it is of its kind, None where it is not, and
raises where it is but cannot be used. It imports no framework and executes nothing of what it looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exporters.sources import (
    by_name,
    exported,
    factory,
    keras2_file,
    keras_file,
    keras_model,
    keras_weights,
    tensorflow_checkpoint,
    tensorflow_module,
    torch_export,
    torch_module,
    torch_pickle,
    torch_weights,
    trained,
    transformers_folder,
)
from exporters.sources.source import Asked, Kind, Source

Probe = Callable[[Source, Asked], Source | None]

# What is recognised by its name; then files and folders, the special before the general. The last one raises.
BY_NAME: tuple[Probe, ...] = (by_name.probe, factory.probe, tensorflow_checkpoint.probe)
BY_CONTENT: tuple[Probe, ...] = (
    trained.probe,
    transformers_folder.probe,
    keras2_file.probe,
    keras_file.probe,
    keras_weights.probe,
    torch_export.probe,
    torch_weights.probe,
    torch_pickle.probe,
    exported.probe,
)

_MODULES = (factory, torch_weights, torch_pickle, torch_export, transformers_folder, by_name, keras_file, keras2_file,
            keras_weights, tensorflow_checkpoint, exported, trained, torch_module, keras_model,
            tensorflow_module)  # fmt: skip
KINDS: dict[str, Kind] = {kind.name: kind for module in _MODULES for kind in module.KINDS}


def first(probes: Sequence[Probe], source: Source, asked: Asked) -> Source | None:
    """The first answer that a probe gives."""
    return next((found for probe in probes if (found := probe(source, asked)) is not None), None)

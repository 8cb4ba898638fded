"""A SavedModel as a source: any origin, and any one of its signatures; without any, one of its functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.errors import BadInput
from toolkit.runtime.hdf5_runner import named_outputs
from toolkit.runtime.savedmodel_runner import SERVING, SavedModelRunner, concrete_function, spec_of
from toolkit.signature import Signature

_CALL = "__call__"


class StrangersSavedModel(SavedModelRunner):
    """The signature that was asked for; else `serving_default`, else the only one.

    `tf.saved_model.save(module, folder)` writes none: then a tf.function of the module is called, `__call__` first.
    """

    def __init__(self, path: Path, *, device: str, threads: int | None, serving: str | None) -> None:
        super().__init__(path, device=device, threads=threads)
        self._serving = serving

    def _chosen(self, tf: Any) -> Any:
        signatures = self._model.signatures
        if signatures:
            return signatures[self._signature_name(list(signatures))]
        functions = {name: item for name, item in vars(self._model).items() if hasattr(item, "concrete_functions")}
        name = self._function_name(list(functions))
        return self._with_names(tf, name, functions[name])

    def _signature_name(self, names: list[str]) -> str:
        if self._serving is not None:
            return self._asked_for(names, "signatures")
        if SERVING in names:
            return SERVING
        if len(names) == 1:
            self.notes.append(f"the SavedModel's one signature is called '{names[0]}'")
            return names[0]
        raise BadInput(
            f"it has the signatures {', '.join(names)}; none is called {SERVING}",
            where=str(self.path),
            hint=f"Choose one: --signature {names[0]}.",
        )

    def _asked_for(self, names: list[str], kind: str) -> str:
        assert self._serving is not None
        if self._serving not in names:
            raise BadInput(
                f"'{self._serving}' is none of its {kind} ({', '.join(names) or 'it has none'})",
                where=str(self.path),
                hint="Name one of them with --signature." if names else _SAVE,
            )
        return self._serving

    def _function_name(self, names: list[str]) -> str:
        if self._serving is not None:
            return self._asked_for(names, "functions")
        if _CALL not in names and len(names) != 1:
            raise BadInput(
                "the SavedModel has no signatures, and no one function that it is called by",
                where=str(self.path),
                hint=f"Choose one: --signature {names[0]}." if names else _SAVE,
            )
        chosen = _CALL if _CALL in names else names[0]
        self.notes.append(f"the SavedModel has no signatures; its function '{chosen}' was taken")
        return chosen

    def _with_names(self, tf: Any, name: str, function: Any) -> Any:
        """A function of the module as one of tensors by name, as it was traced when it was saved."""
        traces = function.concrete_functions
        if len(traces) != 1:
            raise BadInput(
                f"its function '{name}' was saved for {len(traces)} sets of inputs, and no signature says which",
                where=str(self.path),
                hint=_SAVE,
            )
        positional, keywords = traces[0].structured_input_signature
        given = [*enumerate(positional), *keywords.items()]
        specs = {key: spec for key, spec in given if isinstance(spec, tf.TensorSpec)}
        names = {
            key: str(spec.name or (key if isinstance(key, str) else f"input_{key}")) for key, spec in specs.items()
        }
        inputs = Signature(tuple(spec_of(names[key], spec) for key, spec in specs.items()), ())

        def call(feed: dict[str, Any]) -> dict[str, Any]:
            values = {key: feed[names[key]] if key in names else value for key, value in given}
            by_name = {key: value for key, value in values.items() if isinstance(key, str)}
            return named_outputs(function(*(values[index] for index in range(len(positional))), **by_name), [])

        return concrete_function(tf, call, inputs)


_SAVE = "Save it with signatures, tf.saved_model.save(model, folder, signatures=model.call); or use a factory."

"""A SavedModel as a source: any origin, and any one of its signatures."""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import BadInput
from toolkit.runtime.savedmodel_runner import SERVING, SavedModelRunner


class StrangersSavedModel(SavedModelRunner):
    """The signature that was asked for; else `serving_default`, else the only one."""

    def __init__(self, path: Path, *, device: str, threads: int | None, serving: str | None) -> None:
        super().__init__(path, device=device, threads=threads)
        self._serving = serving

    def _signature_name(self, names: list[str]) -> str:
        if self._serving is not None:
            if self._serving not in names:
                raise BadInput(
                    f"'{self._serving}' is none of its signatures ({', '.join(names) or 'it has none'})",
                    where=str(self.path),
                    hint="Name one of them with --signature." if names else _SAVE,
                )
            return self._serving
        if SERVING in names:
            return SERVING
        if len(names) == 1:
            self.notes.append(f"the SavedModel's one signature is called '{names[0]}'")
            return names[0]
        if not names:
            raise BadInput("the SavedModel has no signatures, so nothing in it can be called by name",
                           where=str(self.path), hint=_SAVE)  # fmt: skip
        raise BadInput(
            f"it has the signatures {', '.join(names)}; none is called {SERVING}",
            where=str(self.path),
            hint=f"Choose one: --signature {names[0]}.",
        )


_SAVE = "Save it with signatures, tf.saved_model.save(model, folder, signatures=model.call); or use a factory."

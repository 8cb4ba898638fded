"""Keras archives (.keras) through plain `keras.models.load_model`, in safe mode."""

from __future__ import annotations

from toolkit import metadata
from toolkit.runtime.hdf5_runner import Hdf5Runner


class KerasArchiveRunner(Hdf5Runner):
    """One .keras file, called as one compiled TensorFlow function."""

    def _declared(self) -> bytes | None:
        return metadata.of_archive(self.path)

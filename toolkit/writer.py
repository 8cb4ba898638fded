"""Write a model's formats, each by the first way that works; what was tried in vain is kept for the error.

A native strategy comes first, the way through ONNX and our importers last. A file counts as written once it has been
opened and run at sizes other than its example's.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from exporters.options import ExportOptions
from exporters.precision import calibration
from exporters.precision.kinds import FULL, HOW
from toolkit import formats
from toolkit.errors import BadInput, ExportFailed, NotWritable, UnsupportedOperator
from toolkit.signature import BATCH
from toolkit.verification import quick
from toolkit.verification.sides import Side
from toolkit.worker.pool import WorkerPool

# Which worker rebuilds a format from the hub's ONNX graph.
_HUB_RUNTIME = {"torchscript": "torch"} | dict.fromkeys(("savedmodel", "hdf5", "keras", "tflite"), "tensorflow")

# A graph on the way to other formats may use what came after the opset of a file that goes to others.
_NEWER_OPSET = 20
_LARGE = 1_000_000_000  # bytes of weights, of which no worker shall hold two copies


class Writer:
    """Writes formats into a folder, each by the first way that works, the hub's ONNX graph at most once."""

    def __init__(
        self,
        pool: WorkerPool,
        side: Side,
        name: str,
        options: ExportOptions,
        folder: Path,
        scratch: Path,
        stage: Callable[[str], None],
    ) -> None:
        self._pool = pool
        self._side = side
        self._name = name
        self._options = options
        self._folder = folder
        self._scratch = scratch
        self._stage = stage
        self._hub: tuple[Path, str] | None = None
        self._reduced: dict[tuple[bool, bool], Path] = {}  # the hub's graph in fewer bits, by what is in them

    def write_all(self, names: Sequence[str]) -> dict[str, str]:
        """Write the formats; returns how each was written. ONNX comes first, for the others may come from it.

        Where one cannot be written the others are tried all the same: the error says which of them can be asked for.
        """
        ordered = sorted(names, key=lambda name: name != "onnx")
        written: dict[str, str] = {}
        refused: dict[str, BadInput] = {}
        for name in ordered:
            try:
                written[name] = self._write(name)
            except (ExportFailed, UnsupportedOperator) as error:
                refused[name] = error
        if refused:
            raise _with_the_others(refused, [name for name in names if name in written])
        return {name: written[name] for name in names}

    def _write(self, name: str) -> str:
        self._stage(f"write {name}")
        path = self._folder / formats.by_name(name).file
        if self._options.precision != FULL:
            return self._write_reduced(name, path)
        tried: dict[str, str] = {}
        route = self._native(name, path, tried)
        if route is None and name in _HUB_RUNTIME:
            try:
                route = self._from_hub(name, path)
            except BadInput as error:
                if not tried or isinstance(error, NotWritable):
                    raise
                tried["through ONNX"] = error.found
        if route is None:
            raise self._failed(name, tried)
        if name == "onnx":
            self._hub = (path, route)
        return route

    def _write_reduced(self, name: str, path: Path) -> str:
        """A format in fewer bits: from the hub's graph in fewer bits, but for LiteRT, whose converter rounds itself."""
        words = HOW[name, self._options.precision]
        if name == "tflite":
            tried: dict[str, str] = {}
            route = self._native(name, path, tried, check=False) or self._from_hub(name, path)
            return f"{route} ({words})"
        onnx, route = self.hub()
        compute = not (name == "onnx" and self._options.precision == "bf16")  # ONNX Runtime's CPU has no bfloat16
        which = compute, name in ("onnx", "torchscript")
        if which not in self._reduced:
            self._reduced[which] = self._reduce(onnx, compute=which[0], recurrent=which[1])
        if name == "onnx":
            for item in self._reduced[which].parent.iterdir():  # a model and, beside it, its external data
                shutil.copy2(item, path.parent / item.name)
            return f"{route}, then {self._options.precision} ({words})"
        self._rebuild(name, self._reduced[which], path)
        target = "torch" if name == "torchscript" else "keras"
        return f"{route}, then {self._options.precision} and onnx_to_{target} ({words})"

    def _reduce(self, onnx: Path, *, compute: bool, recurrent: bool) -> Path:
        folder = self._scratch / f"{self._options.precision}-{len(self._reduced)}"
        folder.mkdir()
        batches = calibration.load(Path(self._options.calibration)) if self._options.calibration else []
        params = {
            "source": str(onnx),
            "target": str(folder / "model.onnx"),
            "precision": self._options.precision,
            "compute": compute,
            "recurrent": recurrent,
            "optimize": self._options.optimize,
            "to": self._options.target,
            "signature": self._side.signature.to_json(),
            "contract": self._side.contract.to_json(),
            "calibration": batches,
        }
        self._pool.worker("onnxruntime").call("exporters.precision.tasks:reduce", params)
        return folder / "model.onnx"

    def hub(self) -> tuple[Path, str]:
        """The source's ONNX graph in float32, written once, and how."""
        if self._hub is None:
            self._hub = self._write_hub()
        return self._hub

    def _native(
        self, name: str, path: Path, tried: dict[str, str], opset: int | None = None, *, check: bool = True
    ) -> str | None:
        """The framework's own ways, in order; what was tried in vain is noted in `tried`."""
        # The graph on the way to other formats goes to no runtime.
        options = (
            self._options if opset is None else replace(self._options, opset=opset, exact_opset=False, target=None)
        )
        if name == "onnx":
            options = replace(options, precision=FULL)
        handle = {"handle": self._side.handle, "to": name}
        for strategy in self._side.worker.call("exporters.tasks:strategies", handle):
            attempt = self._scratch / f"attempt-{len(list(self._scratch.iterdir()))}" / path.name
            attempt.parent.mkdir(parents=True, exist_ok=True)
            params = {**handle, "strategy": strategy, "path": str(attempt), "options": options.to_json()}
            result = self._side.worker.call("exporters.tasks:write", params)
            why = result["why"] if not result["written"] else self._wrong(attempt) if check else None
            if why is None:
                _move(attempt, path)
                return str(strategy)
            tried.setdefault(strategy, why)
        return None

    def _wrong(self, path: Path) -> str | None:
        """What is wrong with a file that was just written, at sizes other than its example's; None if nothing is."""
        return quick.check(self._pool, self._side, path)

    def _from_hub(self, name: str, path: Path) -> str:
        onnx, route = self.hub()
        self._rebuild(name, onnx, path)
        return f"{route}, then onnx_to_{'torch' if name == 'torchscript' else 'keras'}"

    def _rebuild(self, name: str, onnx: Path, path: Path) -> None:
        params = {
            "onnx_path": str(onnx),
            "to": name,
            "path": str(path),
            "signature": self._side.signature.to_json(),
            "contract": self._side.contract.to_json(),
            "options": self._options.to_json(),
        }
        try:
            worker = self._pool.worker(_HUB_RUNTIME[name])
            worker.call("exporters.tasks:write_from_onnx", params)
            if _weight(onnx) >= _LARGE and worker is not self._side.worker:
                worker.close()  # frameworks keep a rebuilt model for a while; the next call starts a fresh process
        except UnsupportedOperator as error:
            raise self._of_the_source(error, onnx) from None

    def _of_the_source(self, error: UnsupportedOperator, onnx: Path) -> UnsupportedOperator:
        """The error with the user's source in the place of a graph that the user never sees."""
        graph = re.compile(rf"\b({re.escape(onnx.name)}|model\.onnx)")
        where, hint = (graph.sub(self._name, text) if text else None for text in (error.where, error.hint))
        return UnsupportedOperator(error.found, where=where, hint=hint)

    def _write_hub(self) -> tuple[Path, str]:
        """The ONNX graph on the way to other formats, where ONNX itself was not asked for."""
        path = self._scratch / "hub.onnx"
        tried: dict[str, str] = {}
        newer = max(self._options.opset, _NEWER_OPSET)
        fewer_bits = self._options.precision != FULL  # a file of ONNX in fewer bits comes from here too
        exact = self._options.exact_opset and fewer_bits
        for opset in (None,) if exact else dict.fromkeys((self._options.opset, newer)):
            route = self._native("onnx", path, tried, opset)
            if route is not None:
                return path, route
        raise self._failed("onnx", tried)

    def _failed(self, name: str, tried: Mapping[str, str]) -> ExportFailed:
        lines = [f"{strategy}: {why}" for strategy, why in tried.items()]
        hint = "Nothing was written."
        free = [str(spec) for spec in self._side.signature.inputs if set(spec.dynamic_dims.values()) - {BATCH}]
        if free and any(quick.OTHER_SIZES in why for why in tried.values()):
            hint += f" A model that counts its steps in Python has one size: give it ({free[0]} with a number)."
        return ExportFailed(
            f"no way leads to {name}" + (f" ({'; '.join(lines)})" if lines else ""),
            where=self._side.runtime,
            hint=hint,
        )


def _with_the_others(refused: Mapping[str, BadInput], written: Sequence[str]) -> BadInput:
    """The first error; where several formats were asked for, with what became of the others."""
    first, *others = refused
    error = refused[first]
    said = [error.hint] if error.hint else []
    if others:
        said.append(f"Nor can {' and '.join(others)} be written.")
    if written:
        said.append(f"The others can: {' '.join(f'--to {name}' for name in written)}.")
    error.hint = " ".join(said) or None
    return error


def _weight(onnx: Path) -> int:
    """Bytes of an ONNX file and of the data beside it."""
    return sum(item.stat().st_size for item in onnx.parent.iterdir() if item.name.startswith(onnx.name))


def _move(source: Path, destination: Path) -> None:
    for item in source.parent.iterdir():  # a model and, beside it, its external data
        shutil.move(item, destination.parent / item.name)

"""Modules that `onnx_to_torch.build` rebuilt, exported once more by PyTorch's own exporters.

python benchmarks/reexport.py [--missing] [NAME ...]     (`make reexport`)

A model is written as ONNX by the toolkit, rebuilt, and the module goes through torch.export, and through torch.onnx in
both its forms; every size that the source leaves free stays free, from 1 up. What comes out is run at two sets of
sizes, the ONNX files in ONNX Runtime, and compared with the rebuilt module. Where an exporter refuses the rebuilt
module, it is asked for the source module too. Each model has a process of its own. Rows are written as they come to
benchmarks/results/reexport.json, and the page docs/reexport.md from them; names renew their rows alone, `--missing`
adds those that are not there yet.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks import huggingface_models, torch_zoo

RESULTS = ROOT / "benchmarks" / "results" / "reexport.json"
PAGE = ROOT / "docs" / "reexport.md"
LONGEST = 900  # seconds for one model
_WORDS = 160  # characters of an exporter's own words
_LARGEST = 2**20  # of a size without a bound of its own: torch.export wants one to keep it free
WAYS = ("torch.export", "torch.onnx", "torch.onnx, older")
COLUMNS = ("rebuilt", *WAYS)
OK = "ok"

Arrays = list[np.ndarray[Any, Any]]
Row = dict[str, Any]

# Small ones first; folders of transformers by their architecture.
NAMES = (
    *("ffn", "seq28", "lstm", "gru", "rnn", "conv1d", "conv3d", "pads", "multi", "grid", "grid2", "tricky", "tenc"),
    *("bert_tiny", "gpt2_tiny", "unet", "unet_wide"),
    *huggingface_models.MODELS,
    *("resnet18", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5", "mnasnet0_5", "alexnet"),
    *("efficientnet_b0", "lraspp_mnv3", "regnet_x_400mf", "regnet_y_400mf", "vit_tiny", "resnet50", "densenet121"),
    *("googlenet", "deeplabv3_mnv3", "convnext_tiny", "swin_t", "fcn_resnet50", "inception_v3", "maxvit_t"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--missing", action="store_true", help="only what has no row yet")
    parser.add_argument("--one", action="store_true", help="the one row, here, as JSON")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in NAMES]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    if asked.one:
        print(json.dumps(measured(asked.names[0])))
        return
    for name in asked.names or NAMES:
        if not (asked.missing and name in _kept()):
            found = _in_its_process(name)
            print(name, found, flush=True)
            _write({**_kept(), name: found})


def _in_its_process(name: str) -> Row:
    started = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, __file__, "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST, env=environment)
    except subprocess.TimeoutExpired:
        return {"rebuilt": f"not done in {LONGEST} s"}
    if done.returncode:
        return {"rebuilt": f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:_WORDS]}"}
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return {**row, "seconds": round(time.monotonic() - started)}


def measured(name: str) -> Row:
    """The row of one model: `ok`, or why not, for the rebuilt module and for each exporter."""
    import torch

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        with _quiet():
            model = _Model(torch, name, Path(folder))
        row: Row = {"rebuilt": _tried(model.check_rebuilt)}
        for way, export in model.ways().items():
            row[way] = _tried(lambda export=export: model.check(export, source=False))
            if row[way] != OK:
                alone = _tried(lambda export=export: model.check(export, source=True))
                row[f"{way}, source"] = alone
        return row


@contextlib.contextmanager
def _quiet() -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _tried(check: Callable[[], str]) -> str:
    try:
        with _quiet():
            return check()
    except Exception as raised:  # noqa: BLE001 - whatever an exporter raises is a cell of the table
        error: BaseException = raised
        while error.__cause__ is not None:  # exporters put their advice before what happened
            error = error.__cause__
        lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines() if line.strip()]
        return f"{type(error).__name__}: {' '.join(lines[:2])[:_WORDS]}"


class _Model:
    """The source module, what was rebuilt from its ONNX file, and inputs of two sets of sizes for both."""

    def __init__(self, torch: Any, name: str, folder: Path) -> None:
        from exporters import onnx_to_torch, to_torchscript
        from exporters.sources import examples
        from exporters.sources.opening import runner_of

        self.torch, self.folder, self.path = torch, folder, folder / "model.onnx"
        runner = runner_of(_source(name, folder), "cpu", 1).__enter__()
        self.source, self.signature = runner.module, runner.signature
        self.plain = to_torchscript.positional(runner.signature)
        self.values = [examples.arrays(self.plain, examples.sizes(self.plain, step), seed=step) for step in (0, 1)]
        self._write(runner)
        self.module = onnx_to_torch.build(self.path).eval()
        with torch.no_grad():
            self.wanted = [self._listed(self.module(*self._tensors(values))) for values in self.values]

    def _write(self, runner: Any) -> None:
        """By the first of the toolkit's ways that is right at both sets of sizes, as the toolkit does it."""
        from exporters import to_onnx
        from exporters.options import ExportOptions

        calls = [self._called(values, source=True) for values in self.values]
        with self.torch.no_grad():
            wanted = [self._listed(self.source(*args, **kwargs))[:1] for args, kwargs in calls]
        said = ["no way to write ONNX"]
        for way in to_onnx.strategies(runner).values():
            said.append(_tried(lambda way=way: self._written_by(way, runner, wanted, ExportOptions())))
            if said[-1] == OK:
                return
        raise RuntimeError(said[-1])

    def _written_by(self, way: Any, runner: Any, wanted: list[Arrays], options: Any) -> str:
        way(runner, self.path, options)
        return _verdict([found[:1] for found in self._in_onnxruntime(self.path)], wanted)

    def _tensors(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(self.torch.from_numpy(values[name]) for name in self.plain.input_names)

    def _called(self, values: Mapping[str, Any], *, source: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """How the module is called: the rebuilt one by position, the source as its signature says."""
        from toolkit.runtime.torchscript_runner import arguments

        if not source:
            return self._tensors(values), {}
        given = dict(zip(self.signature.input_names, self._tensors(values), strict=True))
        return arguments(self.signature, given)

    def _listed(self, found: Any) -> Arrays:
        leaves = self.torch.utils._pytree.tree_leaves(found)  # noqa: SLF001 - PyTorch has no other name for it
        return [leaf.detach().numpy() for leaf in leaves if isinstance(leaf, self.torch.Tensor)]

    def _shapes(self, kwargs: Mapping[str, Any]) -> Any:
        limit = self.plain.limit
        dims = {each: self.torch.export.Dim(each, min=1, max=limit(each) or _LARGEST) for each in self.plain.symbols}
        shapes = [{axis: dims[each] for axis, each in spec.dynamic_dims.items()} for spec in self.plain.inputs]
        return dict(zip(kwargs, shapes, strict=True)) if kwargs else tuple(shapes)

    def check_rebuilt(self) -> str:
        """The rebuilt module against its ONNX file."""
        return _verdict(self._in_onnxruntime(self.path), self.wanted)

    def ways(self) -> dict[str, Callable[[bool], list[Arrays]]]:
        return dict(zip(WAYS, (self._export, self._onnx, self._older_onnx), strict=True))

    def check(self, export: Callable[[bool], list[Arrays]], *, source: bool) -> str:
        with self.torch.no_grad():
            return _verdict(export(source), self.wanted)

    def _export(self, source: bool) -> list[Arrays]:
        module = self.source if source else self.module
        args, kwargs = self._called(self.values[0], source=source)
        shapes = self._shapes(kwargs)
        program = self.torch.export.export(module, args, kwargs or None, dynamic_shapes=shapes).module()
        calls = [self._called(values, source=source) for values in self.values]
        return [self._listed(program(*args, **kwargs)) for args, kwargs in calls]

    def _onnx(self, source: bool) -> list[Arrays]:
        args, kwargs = self._called(self.values[0], source=source)
        return self._written(
            source, args, kwargs, dynamo=True, verbose=False, dynamic_shapes=self._shapes(kwargs), external_data=False
        )

    def _older_onnx(self, source: bool) -> list[Arrays]:
        args, kwargs = self._called(self.values[0], source=source)
        free = {spec.name: spec.dynamic_dims for spec in (*self.plain.inputs, *self.plain.outputs) if spec.dynamic_dims}
        return self._written(source, args, kwargs, dynamo=False, dynamic_axes=free, opset_version=18)

    def _written(self, source: bool, args: tuple[Any, ...], kwargs: dict[str, Any], **options: Any) -> list[Arrays]:
        module, path = self.source if source else self.module, self.folder / "again.onnx"
        self.torch.onnx.export(
            module, args, str(path), kwargs=kwargs or None, input_names=list(self.plain.input_names),
            output_names=list(self.plain.output_names), **options,
        )  # fmt: skip
        return self._in_onnxruntime(path)

    def _in_onnxruntime(self, path: Path) -> list[Arrays]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        taken = [value.name for value in session.get_inputs()]  # an exporter may leave out an input that does nothing
        return [session.run(None, {name: values[name] for name in taken}) for values in self.values]


def _source(name: str, folder: Path) -> Any:
    from exporters.sources import source as sources

    if name in torch_zoo.ENTRIES:
        inputs = torch_zoo.ENTRIES[name].inputs
        return sources.resolve(
            f"benchmarks.torch_zoo:build_{name}", framework="torch", search=[str(ROOT)], inputs=inputs
        )
    from benchmarks import torchvision_schemas  # noqa: F401 - transformers imports torchvision

    huggingface_models.save(folder / "models", [name])
    place = folder / "models" / huggingface_models.folder_of(name)
    return sources.resolve(str(place), inputs=huggingface_models.MODELS[name].inputs)


def _verdict(found: Sequence[Arrays], wanted: Sequence[Arrays]) -> str:
    """`ok`, or the first difference; float32's rounding is a few units of 1e-7, so that 1e-4 is another function."""
    for step, (ones, others) in enumerate(zip(found, wanted, strict=True)):
        if len(ones) != len(others):
            return f"{len(ones)} outputs for {len(others)}"
        for one, other in zip(ones, others, strict=True):
            if one.shape != other.shape or one.dtype != other.dtype:
                return f"{one.dtype}{list(one.shape)} for {other.dtype}{list(other.shape)} at sizes {step + 1}"
            if not np.allclose(one, other, rtol=1e-4, atol=1e-4 * _largest(other), equal_nan=True):
                return f"other numbers at sizes {step + 1}"
    return OK


def _largest(array: np.ndarray[Any, Any]) -> float:
    finite = np.abs(array[np.isfinite(array)].astype(np.float64))
    return max(1.0, float(finite.max())) if finite.size else 1.0


def _kept() -> dict[str, Row]:
    models: dict[str, Row] = json.loads(RESULTS.read_text("utf-8"))["models"] if RESULTS.exists() else {}
    return models


def _write(models: Mapping[str, Row]) -> None:
    packages = ("torch", "onnx", "onnxruntime-gpu", "torchvision", "timm", "transformers")
    environment = {"python": platform.python_version(), **{package: version(package) for package in packages}}
    data = {"environment": environment, "models": {name: models[name] for name in NAMES if name in models}}
    RESULTS.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(data), encoding="utf-8")


def page(data: Mapping[str, Any]) -> str:
    """The whole page, from the results file alone."""
    rows: Mapping[str, Row] = data["models"]
    head = ["# Rebuilt modules, exported again", "<!-- written by benchmarks/reexport.py: do not edit -->"]
    words = (
        "Each model is written as ONNX by the toolkit, rebuilt by `toolkit.to_torch`, and the module handed to "
        "PyTorch's own exporters; every size that the source leaves free stays free, from 1 up. `rebuilt` is the "
        "module against its ONNX file in ONNX Runtime; the others are what the exporter made of it against the module "
        "itself, ONNX files in ONNX Runtime, at two sets of sizes. Where an exporter does not do it, the same is asked "
        "of the source module: *source too* means that it fails there as well, *source does* that it succeeds."
    )
    counts = ", ".join(f"{way} {sum(row.get(way) == OK for row in rows.values())}" for way in COLUMNS)
    alike = sum(_alike(row, way) for row in rows.values() for way in WAYS)
    missing = [name for name in NAMES if name not in rows]
    told = f"Of {len(rows)} models ok: {counts}. Of the failures, the source fails too in {alike}."
    if missing:
        told += f" Not run: {', '.join(missing)}."
    versions = ", ".join(f"{name} {number}" for name, number in data["environment"].items())
    table = ["| model | " + " | ".join(COLUMNS) + " | s |", "|" + " --- |" * (len(COLUMNS) + 1) + " ---: |"]
    table += [_line(name, row) for name, row in rows.items()]
    reasons = [
        f"- {name}, {way}: {_escaped(row[way])}"
        + (f" (source: {_escaped(row[f'{way}, source'])})" if way in WAYS else "")
        for name, row in rows.items()
        for way in COLUMNS
        if row.get(way, OK) != OK
    ]
    sections = [*head, words, told, f"Versions: {versions}.", "\n".join(table)]
    if reasons:
        sections += ["## What is refused, and in which words", "\n".join(reasons)]
    return "\n\n".join(sections) + "\n"


def _alike(row: Row, way: str) -> bool:
    return row.get(way, OK) != OK and row[f"{way}, source"] != OK


def _line(name: str, row: Row) -> str:
    cells = [_cell(row, way) for way in COLUMNS]
    return "| " + " | ".join([name, *cells, str(row.get("seconds", ""))]) + " |"


def _cell(row: Row, way: str) -> str:
    if way not in row:
        return ""
    if row[way] == OK:
        return OK
    return "no" if way not in WAYS else "no, source too" if _alike(row, way) else "no, source does"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()

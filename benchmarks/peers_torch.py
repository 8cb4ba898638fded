"""ONNX's own backend cases through our importer, its peers, ONNX Runtime and onnx.reference, by the same rules.

python benchmarks/peers_torch.py [--fresh] [COLUMN ...]     (the interpreter that has the peers: `make peers-torch`)

Every output of every case with its dtype, its shape and, within the case's own tolerance, its values; for the PyTorch
converters as a module, and as TorchScript saved and reloaded. Each converter has a process of its own, which is started
again behind a case that crashes it; a case that takes longer than a limit has failed. Rows are kept in build/peers, so
that a run that was cut off goes on; `--fresh` starts anew. Writes benchmarks/results/peers_torch.json and
docs/peers-torch.md.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.importers import groups
from tests.importers.cases import Case, all_cases

ROWS = ROOT / "build" / "peers"
RESULTS = ROOT / "benchmarks" / "results" / "peers_torch.json"
PAGE = ROOT / "docs" / "peers-torch.md"
_PATIENCE = 20  # seconds that one case may take in one form


def _ours(model: Any) -> Any:
    from exporters import onnx_to_torch

    return onnx_to_torch.build(model)


def _onnx2torch(model: Any) -> Any:
    import onnx2torch

    return onnx2torch.convert(model)


def _onnx2pytorch(model: Any) -> Any:
    import onnx2pytorch

    return onnx2pytorch.ConvertModel(model, experimental=True)


def _onnx2fx(model: Any) -> Any:
    import onnx2fx

    return onnx2fx.convert(model)


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "model-toolkit": _ours,
    "onnx2torch": _onnx2torch,
    "onnx2pytorch": _onnx2pytorch,
    "onnx2fx": _onnx2fx,
}
COLUMNS = (*CONVERTERS, "onnxruntime", "onnx.reference")
FORMS = {name: ("eager", "scripted") if name in CONVERTERS else ("run",) for name in COLUMNS}


class TooSlowError(Exception):
    """A case took longer than `_PATIENCE`."""


def _limited(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """The result, or what was raised in one line."""

    def stop(*_: Any) -> None:
        raise TooSlowError(f"more than {_PATIENCE} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(_PATIENCE)
    try:
        return function(*arguments), ""
    except Exception as error:  # noqa: BLE001 - every failure of a case is a row of the table
        return None, f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:200]}"
    finally:
        signal.alarm(0)


def _with_tuples(module: Any, case: Case) -> Callable[..., Any]:
    """The module; several outputs come as a tuple from it, whatever a converter puts them into."""

    def call(*inputs: Any) -> Any:
        outputs = module(*inputs)
        several = len(case.model.graph.output) > 1
        return tuple(outputs) if several and isinstance(outputs, list) else outputs

    return call


def _converted(convert: Callable[[Any], Any], case: Case) -> dict[str, str]:
    import torch

    from tests.importers.torch_suite import run

    def reloaded(module: Any) -> Any:
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.script(module), buffer)
        buffer.seek(0)
        return torch.jit.load(buffer)

    module, why = _limited(lambda: convert(case.model).eval())
    if module is None:
        return dict.fromkeys(FORMS["onnx2torch"], why)
    found, why = _limited(run, _with_tuples(module, case), case)
    row = {"eager": found or why}
    script, why = _limited(reloaded, module)
    if script is not None:
        found, why = _limited(run, _with_tuples(script, case), case)
    return row | {"scripted": why if script is None else found or why}


def _array(value: Any) -> Any:
    """NumPy's scalars as arrays: ONNX Runtime takes no others."""
    import numpy as np

    return np.asarray(value) if isinstance(value, np.generic) else value


def _in_onnxruntime(case: Case) -> str:
    import onnxruntime

    from tests.importers.compare import difference
    from tests.importers.reference_suite import plain, unicode_as_objects

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(case.model.SerializeToString(), options, ["CPUExecutionProvider"])
    for inputs, outputs in case.data:
        feeds = dict(zip(case.inputs, map(_array, map(plain, inputs)), strict=False))
        actual = [unicode_as_objects(value) for value in session.run(None, feeds)]
        found = difference(actual, plain(list(outputs)), case.rtol, case.atol)
        if found:
            return found
    return "ok"


def _row(column: str, case: Case) -> dict[str, str]:
    if column in CONVERTERS:
        return _converted(CONVERTERS[column], case)
    if column == "onnxruntime":
        found, why = _limited(_in_onnxruntime, case)
    else:
        from tests.importers.reference_suite import result

        found, why = _limited(result, case)
    return {"run": found or why}


def child(column: str, skip: int) -> None:
    """Append one row per case to the column's file, from case number `skip` on."""
    import torch

    from benchmarks import torchvision_schemas  # noqa: F401 - two of the peers import torchvision

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with (ROWS / f"{column}.jsonl").open("a") as file:
        for case in all_cases()[skip:]:
            file.write(json.dumps({"name": case.name} | _row(column, case)) + "\n")
            file.flush()


def _rows(column: str) -> list[dict[str, str]]:
    file = ROWS / f"{column}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def complete(column: str, cases: list[Case]) -> list[dict[str, str]]:
    """Every case's row; a case that took its process with it has 'crashed'."""
    while (done := len(_rows(column))) < len(cases):
        command = [sys.executable, __file__, "--child", column, str(done)]
        # The newest cases are of an opset that ONNX Runtime calls unreleased, and runs all the same.
        environment = {**os.environ, "ALLOW_RELEASED_ONNX_OPSET_ONLY": "0"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        code = subprocess.run(command, env=environment, check=False, **quiet).returncode
        reached = len(_rows(column))
        if reached < len(cases):
            row = {"name": cases[reached].name} | dict.fromkeys(FORMS[column], f"crashed: exit code {code}")
            with (ROWS / f"{column}.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
    return _rows(column)


def table(cases: list[Case], found: dict[str, list[dict[str, str]]]) -> tuple[list[str], dict[str, Any]]:
    heads = [f"{name}, {form}" if form != "run" else name for name in found for form in FORMS[name]]
    lines = ["| Group | Cases | " + " | ".join(heads) + " |", "|---|---:|" + "---:|" * len(heads)]
    counts: dict[str, Any] = {}
    for group in (*groups.GROUPS, "all"):
        places = [index for index, case in enumerate(cases) if group in (case.group, "all")]
        if places:
            right = {
                f"{name} {form}": sum(found[name][index][form] == "ok" for index in places)
                for name in found
                for form in FORMS[name]
            }
            counts[group] = {"cases": len(places)} | right
            lines.append(f"| {group} | {len(places):,} | " + " | ".join(f"{n:,}" for n in right.values()) + " |")
    return lines, counts


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"


def main() -> None:
    ROWS.mkdir(parents=True, exist_ok=True)
    if "--fresh" in sys.argv:
        for file in ROWS.glob("*.jsonl"):
            file.unlink()
    cases = all_cases()
    wanted = [column for column in COLUMNS if column in sys.argv] or list(COLUMNS)
    found = {column: complete(column, cases) for column in wanted}
    lines, counts = table(cases, found)
    packages = ("torch", "onnx", "onnx2torch", "onnx2pytorch", "onnx2fx", "onnxruntime-gpu")
    versions = {name: _version(name) for name in packages if name != "onnx2fx" or name in found}
    failures = {
        column: {row["name"]: {form: row[form] for form in FORMS[column] if row[form] != "ok"} for row in found[column]}
        for column in ("model-toolkit",)
    }
    data = {"versions": versions, "groups": counts,
            "not_right": {name: forms for name, forms in failures["model-toolkit"].items() if forms}}  # fmt: skip
    RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    words = (
        "# ONNX's own cases through other converters\n\n<!-- written by benchmarks/peers_torch.py: do not edit -->\n\n"
        "How many of ONNX's backend cases are right, by the same rules for all, in one run: every output with its "
        "dtype, its shape and, within the case's tolerance, its values. The scripted columns are TorchScript, saved "
        "and reloaded. The cases of the core hold no narrow or bfloat16 floats, sequences, optionals, strings, random "
        "numbers, preview or ai.onnx.ml operators.\n\n"
    )
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    PAGE.write_text(words + "\n".join(lines) + f"\n\nVersions: {told}.\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    if "--child" in sys.argv:
        child(sys.argv[-2], int(sys.argv[-1]))
    else:
        main()

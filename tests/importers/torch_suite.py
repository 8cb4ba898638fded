"""Run ONNX's cases through the PyTorch importer, as a module and as a TorchScript file; prints JSON.

The file is opened by `torch_alone.py`, in a process that has torch and nothing of ours. A process of its own, so that
torch and TensorFlow never meet: `python tests/importers/torch_suite.py [--sample | --traps | NAME-PART ...]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import ml_dtypes
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from exporters import onnx_to_torch
from exporters.graph.clean import clean
from exporters.graph.read import read
from exporters.onnx_to_torch.operators import TORCH
from tests.importers import chance
from tests.importers.cases import Case, selected
from tests.importers.compare import as_array, difference
from tests.limits import HANG

if TYPE_CHECKING:
    import onnx

BITS = {torch.bfloat16: (torch.int16, ml_dtypes.bfloat16), torch.float8_e4m3fn: (torch.uint8, ml_dtypes.float8_e4m3fn),
        torch.float8_e5m2: (torch.uint8, ml_dtypes.float8_e5m2),
        torch.float8_e4m3fnuz: (torch.uint8, ml_dtypes.float8_e4m3fnuz),
        torch.float8_e5m2fnuz: (torch.uint8, ml_dtypes.float8_e5m2fnuz),
        torch.float8_e8m0fnu: (torch.uint8, ml_dtypes.float8_e8m0fnu)}  # fmt: skip
TORCH_BITS = {np.dtype(array): (bits, dtype) for dtype, (bits, array) in BITS.items()}
NARROW = {np.dtype(ml_dtypes.int4): np.int8, np.dtype(ml_dtypes.uint4): np.uint8,
          np.dtype(ml_dtypes.int2): np.int8, np.dtype(ml_dtypes.uint2): np.uint8,
          np.dtype(ml_dtypes.float4_e2m1fn): np.dtype(ml_dtypes.float8_e4m3fn)}  # fmt: skip


def to_torch(value: Any) -> Any:
    if isinstance(value, list):
        return [to_torch(item) for item in value]
    if value is None:
        return None
    array = as_array(value)
    array = array.astype(NARROW.get(array.dtype, array.dtype))
    if array.dtype in TORCH_BITS:
        bits, dtype = TORCH_BITS[array.dtype]
        return torch.from_numpy(array.view(f"i{array.itemsize}" if bits == torch.int16 else np.uint8)).view(dtype)
    return torch.from_numpy(array)


def to_numpy(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [to_numpy(item) for item in value]
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    if value.dtype in BITS:
        bits, array = BITS[value.dtype]
        return value.contiguous().view(bits).numpy().view(array)
    return value.numpy()


def wanted_of(value: Any) -> Any:
    if isinstance(value, list):
        return [wanted_of(item) for item in value]
    if value is None:
        return None
    array = as_array(value)
    return array.astype(NARROW.get(array.dtype, array.dtype))


def compared(case: Case, results: list[Any]) -> str:
    """'ok' where each feeding gave the outputs that it must, else what is wrong.

    What draws at random is judged by many results of the same feeding.
    """
    if case.group == "random":
        return chance.judged(case, [list(r) if isinstance(r, tuple) else [r] for r in results])
    for result, (_, outputs) in zip(results, case.data, strict=True):
        actual = list(result) if isinstance(result, tuple) else [result]
        found = difference(to_numpy(actual), wanted_of(list(outputs)), case.rtol, case.atol)
        if found:
            return found
    return "ok"


def feedings(case: Case) -> list[tuple[Any, ...]]:
    """What the module is called with, one call after another."""
    given = [tuple(map(to_torch, inputs)) for inputs, _ in case.data]
    return given * chance.DRAWS if case.group == "random" else given


def run(module: Any, case: Case) -> str:
    with torch.no_grad():
        return compared(case, [module(*feeding) for feeding in feedings(case)])


def attempt(function: Any, *arguments: Any) -> tuple[Any, str]:
    """The result, or the error in one line."""
    try:
        return function(*arguments), "ok"
    except Exception as error:  # noqa: BLE001 - every failure of a case is a row of the table
        lines = [line for line in str(error).splitlines() if line.strip()]
        text = next((line for line in lines if "Error" in line), lines[0] if lines else "")
        return None, f"{type(error).__name__}: {text.strip()[:400]}"


class Alone:
    """The process that has torch alone; started again where a file ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process and self.process.stdin:
            self.process.stdin.close()
            self.process.wait(timeout=HANG)

    def run(self, module: torch.nn.Module, case: Case) -> str:
        """Script `module`, save it, and compare what the file gives over there."""
        torch.jit.script(module).save(self.folder / "module.pt")  # type: ignore[no-untyped-call]
        torch.save(feedings(case), self.folder / "inputs.pt")
        answer = self._ask()
        if answer != "ok":
            return answer
        return compared(case, torch.load(self.folder / "outputs.pt", weights_only=True))

    def _ask(self) -> str:
        if self.process is None:
            command = [sys.executable, "-P", str(Path(__file__).with_name("torch_alone.py"))]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=self.folder)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.folder}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            code, self.process = self.process.wait(timeout=HANG), None
            return f"the process that ran it ended with {code}"
        return answer


def results(case: Case, alone: Alone) -> dict[str, str]:
    module, eager = attempt(onnx_to_torch.build, case.model)
    if module is None:
        return {"eager": eager, "scripted": "not built"}
    outcome, error = attempt(run, module, case)
    row = {"eager": outcome or error}
    outcome, error = attempt(alone.run, module, case)
    return row | {"scripted": outcome or error}


def covered(model: onnx.ModelProto) -> bool:
    """Whether the table has every operator of the case, without ONNX's own function bodies."""
    try:
        return not TORCH.missing(clean(read(model)))
    except Exception:  # noqa: BLE001 - a model that cannot be read is not covered
        return False


def main(arguments: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, Alone(Path(folder)) as alone:
        rows = {
            case.name: results(case, alone) | {"operators": sorted(case.operators), "group": case.group}
            for case in selected(arguments)
        }
    json.dump(rows, sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])

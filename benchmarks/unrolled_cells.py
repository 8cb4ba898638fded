"""What one operator in the place of unrolled cells gains: TorchScript files with and without it, in turns.

python benchmarks/unrolled_cells.py [--threads N]     (`make bench-cells`)

A loop over nn.LSTMCell, GRUCell or RNNCell is traced to ONNX and written as TorchScript twice, as the toolkit does it
and with the cells left as they are. Writes benchmarks/results/unrolled_cells.json and the table in docs/patterns.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch

from exporters import to_torchscript
from exporters.graph import read, recurrent, signature
from exporters.onnx_to_torch import builder
from exporters.options import ExportOptions
from toolkit.contract import Contract

RESULTS = ROOT / "benchmarks" / "results" / "unrolled_cells.json"
PAGE = ROOT / "docs" / "patterns.md"
START, END = "<!-- written by benchmarks/unrolled_cells.py -->", "<!-- end of cells -->"
KINDS = ("LSTMCell", "GRUCell", "RNNCell")
STEPS = (2, 4, 8, 16, 64)
SIZES = ((1, 32, 64), (8, 64, 128), (1, 256, 512))  # batch, features, units
ROUNDS = 11
_ENOUGH = 0.004  # seconds of one measurement, at least
_NEVER = 10**9


class Unrolled(torch.nn.Module):
    def __init__(self, kind: str, features: int, units: int) -> None:
        super().__init__()
        self.cell = getattr(torch.nn, kind)(features, units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state: Any = None
        given = []
        for step in x.unbind(1):
            state = self.cell(step, state)
            given.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(given, 1)


def pair(kind: str, steps: int, sizes: tuple[int, int, int], folder: Path) -> tuple[torch.Tensor, list[Any]]:
    """An input, and the files' modules: with the cells as they are, and with one operator."""
    batch, features, units = sizes
    torch.manual_seed(0)
    x, onnx = torch.randn(batch, steps, features), folder / "model.onnx"
    module = Unrolled(kind, features, units).eval()
    torch.onnx.export(
        module, (x,), str(onnx), dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "batch"}}, opset_version=18
    )
    found = []
    for shortest in (_NEVER, 2):
        path = folder / f"{shortest}.pt"
        _written(onnx, path, shortest)
        found.append(torch.jit.load(str(path)).eval())
    wanted, also = (module(x) for module in found)
    torch.testing.assert_close(also, wanted, rtol=1e-5, atol=1e-5)
    return x, found


def _written(onnx: Path, path: Path, shortest: int) -> None:
    class Forced:
        @staticmethod
        def recover(model: Any, **_: int) -> Any:
            return recurrent.recover(model, shortest=shortest)

    builder.recurrent = Forced  # type: ignore[assignment]  # stands in for the module
    try:
        to_torchscript.from_onnx(onnx, path, signature.signature(read.read(onnx)), Contract(), ExportOptions())
    finally:
        builder.recurrent = recurrent


def ratio(x: torch.Tensor, modules: list[Any]) -> tuple[float, float]:
    """Milliseconds with the cells as they are, and the time with one operator in units of it: the fastest of turns.

    What else runs on the machine only ever adds.
    """
    calls: list[Callable[[], Any]] = [lambda module=module: module(x) for module in modules]
    for call in calls * 4:
        call()
    often = max(1, round(_ENOUGH / _seconds(calls[0], 2)))
    times: list[list[float]] = [[], []]
    for turn in range(ROUNDS):
        for which in (0, 1) if turn % 2 else (1, 0):
            times[which].append(_seconds(calls[which], often))
    before, after = map(min, times)
    return 1e3 * before, after / before


def _seconds(call: Callable[[], Any], often: int) -> float:
    started = time.perf_counter()
    for _ in range(often):
        call()
    return (time.perf_counter() - started) / often


def table(rows: list[dict[str, Any]], threads: int) -> str:
    head = ["batch, features, units", *(f"{steps} steps" for steps in STEPS)]
    lines = ["| cell | " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(head)]
    for kind in KINDS:
        for sizes in SIZES:
            found = [row for row in rows if row["cell"] == kind and tuple(row["sizes"]) == sizes]
            cells = [f"{row['ms']:.2f} ms × {row['ratio']:.2f}" for row in sorted(found, key=lambda row: row["steps"])]
            lines.append(f"| {kind} | {', '.join(map(str, sizes))} | " + " | ".join(cells) + " |")
    note = f"torch {torch.__version__}, {threads} thread, the fastest of {ROUNDS} turns."
    return "\n".join([START, *lines, "", note, END])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    rows = []
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for steps in STEPS:
                for sizes in SIZES:
                    ms, found = ratio(*pair(kind, steps, sizes, Path(folder)))
                    rows.append({"cell": kind, "steps": steps, "sizes": sizes, "ms": ms, "ratio": found})
                    print(rows[-1], flush=True)
    data = {"torch": torch.__version__, "threads": threads, "rounds": ROUNDS, "rows": rows}
    RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text("utf-8")
    before, after = page.partition(START)[0], page.partition(END)[2]
    PAGE.write_text(before + table(rows, threads) + after, encoding="utf-8")


if __name__ == "__main__":
    main()

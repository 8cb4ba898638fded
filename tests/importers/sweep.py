"""The whole of ONNX's node suite through both importers: `python tests/importers/sweep.py [--update-exceptions]`.

Prints how many cases are right, by group: PyTorch eager, PyTorch scripted, saved and reloaded, Keras. With
`--update-exceptions` the table of cases that are not expected to pass is written anew; its diff is to be reviewed.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.importers.suites import HERE, script

COLUMNS = ("eager", "scripted", "model")
# What a failure's message holds -> the reason that stands in the table of exceptions; the first that fits counts.
REASONS = {
    # where onnx's expected values and ONNX Runtime disagree, torch follows the specification's words and the runtime
    "off by 0.857": "the case counts the resized length before rounding it down, the specification after",
    "off by 1.05": "the case counts the resized length before rounding it down, the specification after",
    "off by 0.00391": "bfloat16 rounded at other places than in the reference",
    "off by 0.000488": "float16 rounded at other places than in the reference",
    "off by 0.000977": "float16 rounded at other places than in the reference",
    "FLOAT8": "float8 beyond the largest value: torch gives infinity or NaN",
    "has no PyTorch form": "an operator without a PyTorch form",
    "has no Keras form": "an operator, or a use of it, without a Keras form",
    "have no Keras form": "an operator, or a use of it, without a Keras form",
    "PyTorch has no tensors of type": "an element type that PyTorch does not have",
    "ml_dtypes": "an element type that PyTorch does not have",
    "numpy.str_": "an element type that PyTorch does not have",
    "has no attribute or method": "TorchScript cannot compile it",
    "not built": "not built, see the column eager",
}


def group(name: str, row: dict[str, Any]) -> str:
    """Cases of preview and ai.onnx.ml operators, of expanded function bodies, and the core."""
    if "ai_onnx_ml" in name or any("preview" in operator for operator in row["operators"]):
        return "other domains"
    return "expanded bodies" if "_expanded" in name else "core"


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'group':18}{'cases':>8}" + "".join(f"{column:>10}" for column in COLUMNS)]
    groups = sorted({row["group"] for row in rows.values()})
    for name in [*groups, "all"]:
        mine = [row for row in rows.values() if name in (row["group"], "all")]
        counts = [sum(row[column] == "ok" for row in mine) for column in COLUMNS]
        lines.append(f"{name:18}{len(mine):8}" + "".join(f"{count:10}" for count in counts))
    return "\n".join(lines)


def exceptions(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {column: {} for column in COLUMNS}
    for name, row in rows.items():
        for column in COLUMNS:
            if row[column] != "ok":
                message = _explained(name, row[column])
                reason = next((reason for part, reason in REASONS.items() if part in message), message)
                found[column].setdefault(reason, []).append(name)
    return found


def _explained(name: str, message: str) -> str:
    """The message with what only the case's name tells."""
    if any(part in name for part in ("bernoulli", "training_dropout")):
        return "random numbers that no other generator draws"
    if "FLOAT8" in name and "off by" in message:
        return "FLOAT8"
    if "INT4" in name or "int4" in name:
        return "integers of four bits, which PyTorch does not have"
    return message


def main(arguments: list[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        torch, keras = pool.map(script, ("torch_suite.py", "keras_suite.py"))
    rows = {name: row | keras[name] | {"group": group(name, row)} for name, row in torch.items()}
    print(table(rows))  # the script's result
    if "--update-exceptions" in arguments:
        text = json.dumps(exceptions(rows), indent=1, sort_keys=True)
        (HERE / "exceptions.json").write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

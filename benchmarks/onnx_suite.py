"""ONNX's own backend suite through both importers, all of it, with onnx.reference beside them.

python benchmarks/onnx_suite.py [--update-exceptions] [--only torch|keras|reference]

Prints how many cases are right, by group, and writes the counts to benchmarks/results/onnx_suite.json and the table to
docs/onnx-suite.md. With `--update-exceptions`, tests/importers/exceptions.json, the cases that are not expected to pass
and why, is written anew; its diff is to be reviewed. With `--only`, one suite is run, and the columns of the others are
those of the last run.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.importers.cases import all_cases
from tests.importers.groups import GROUPS
from tests.importers.suites import HERE, script

RESULTS = ROOT / "benchmarks" / "results" / "onnx_suite.json"
PAGE = ROOT / "docs" / "onnx-suite.md"
SUITES = {"torch": ("eager", "scripted"), "keras": ("model", "h5", "savedmodel"), "reference": ("reference",)}
COLUMNS = {
    "eager": "PyTorch, eager",
    "scripted": "TorchScript file, torch alone",
    "model": "Keras model",
    "savedmodel": "SavedModel, TensorFlow alone",
    "h5": ".h5, Keras alone",
    "reference": "onnx.reference",
}
TARGETS = ("eager", "scripted", "model", "savedmodel", "h5")
PACKAGES = ("onnx", "onnx-ir", "torch", "tensorflow", "keras")

NO_TYPE = "holds values of a type that the target does not have: strings, sequences, optionals or narrow floats"
ROUNDING = "narrow floats are rounded at other places than in the reference"
LENGTH = "the case takes the resized length before it is rounded down, the specification after"
RANDOM = "random numbers, which no other generator draws the same"
# What the name of a case tells -> the reason why it is not expected to pass.
NAMED = {
    r"bernoulli|training_dropout": RANDOM,
    r"resize_downsample_scales_(cubic|linear)_align_corners": LENGTH,
    r"reduce_max_empty_set_bool": "the largest of no booleans, which PyTorch does not define",
    r"dft_inverse": "the case expects the rounding errors of NumPy's transform where the exact result is 0",
}
# What a failure's message tells, in this order; \1 is what the pattern caught.
TOLD = {
    r"off by 0\.00391|off by 0\.000(488|977)": ROUNDING,
    r"node '[^']*': (\S+) \(opset \d+\) has no (PyTorch|Keras) form": r"\1 has no \2 form",
    r"node '[^']*': (.*?),? ha(?:s|ve) no (PyTorch|Keras) form": r"\1: without a \2 form",
    r"has no tensors of type|can't convert np.ndarray|is no tensor of a known rank|of which Keras has no": NO_TYPE,
    r"is TensorFlow's own": "TensorFlow's own operations, which a SavedModel alone holds",
    r"computed from several unknown sizes": "a size computed from several unknown sizes has no Keras form",
    r"not built, see the column model": "not built, see the column of the model",
    r"not built": "not built, see the column eager",
    r"(identity|sequence_at|sequence_insert)\(Tensor": "a sequence whose type TorchScript is not told",
    r"List\[List\[Tensor\]\]|Expected a value of type 'Tensor'": "a sequence whose type TorchScript is not told",
    r"calling TensorFlowCall": "ImageDecoder of a format that TensorFlow does not open",
    r"calling (Max|Min)\.call": r"the \1 of nothing, which TensorFlow does not define",
    r"a model without inputs": "a model without inputs has no Keras form",
}


def run(only: str | None) -> dict[str, dict[str, Any]]:
    """Every case's outcome in all columns."""
    cases = all_cases()  # once, before three processes would collect them side by side
    rows: dict[str, dict[str, Any]] = {case.name: {"group": case.group} for case in cases}
    chosen = [only] if only else list(SUITES)
    for name, row in _last(chosen).items():
        rows[name] |= row
    with ThreadPoolExecutor(2) as pool:
        suites = pool.map(script, [f"{suite}_suite.py" for suite in chosen])
        for found in suites:
            for name, row in found.items():
                rows[name] |= row if isinstance(row, dict) else {"reference": row}
    return rows


def _last(chosen: list[str]) -> dict[str, dict[str, str]]:
    """The columns of the suites that are not run, as the last run left them: what is not listed there was right."""
    columns = [column for suite, names in SUITES.items() if suite not in chosen for column in names]
    if not columns:
        return {}
    listed = json.loads(RESULTS.read_text(encoding="utf-8"))["not_right"]
    return {case.name: {c: listed.get(case.name, {}).get(c, "ok") for c in columns} for case in all_cases()}


def counts(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Group -> how many cases it has, and how many are right in each column."""
    found = {}
    for name in [*GROUPS, "all"]:
        mine = [row for row in rows.values() if name in (row["group"], "all")]
        found[name] = {"cases": len(mine)} | {column: sum(row[column] == "ok" for row in mine) for column in COLUMNS}
    return found


def table(found: dict[str, dict[str, int]]) -> str:
    head = ["Group", "Cases", *COLUMNS.values()]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += [
        "| " + " | ".join([name, *(f"{count:,}" for count in row.values())]) + " |" for name, row in found.items()
    ]
    return "\n".join(lines)


def page(found: dict[str, dict[str, int]], rows: dict[str, dict[str, Any]]) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    parts = [
        "# ONNX's own cases",
        "<!-- written by benchmarks/onnx_suite.py: do not edit -->",
        (
            "ONNX's backend suite through both importers: its node cases, the models of its folders `simple`, "
            "`pytorch-converted` and `pytorch-operator`, and its nine real networks. A case is right when every output "
            "has the dtype, the shape and (within the case's own tolerance) the values that it expects. The "
            "TorchScript file is opened in a process in which neither this project nor ONNX can be imported; the "
            "SavedModel is so by `tf.saved_model.load`, the .h5 file by plain `keras.models.load_model`."
        ),
        (
            "A case belongs to a group by the types and operators that its graph holds; the core is what bears no mark "
            "of another group. Expanded function bodies count with their operators."
        ),
        table(found),
        f"Versions: {versions}.",
    ]
    for column in TARGETS:
        reasons = exceptions(rows)[column]
        listed = [f"| {len(cases)} | {reason} |" for reason, cases in reasons.items()]
        parts += [f"## Not right: {COLUMNS[column]}", "\n".join(["| Cases | Why |", "|---:|---|", *listed])]
    return "\n\n".join(parts) + "\n"


def exceptions(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Column -> reason -> the cases that are not right for it, the most frequent reason first."""
    found: dict[str, dict[str, list[str]]] = {column: {} for column in TARGETS}
    for name, row in rows.items():
        for column in TARGETS:
            if row[column] != "ok":
                found[column].setdefault(reason(name, row[column]), []).append(name)
    return {
        column: dict(sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0])))
        for column, reasons in found.items()
    }


def reason(name: str, message: str) -> str:
    """Why a case fails, in words; the message itself where no rule knows better."""
    for pattern, words in TOLD.items():
        match = re.search(pattern, message)
        if match:
            return match.expand(words)
    for pattern, words in NAMED.items():
        if re.search(pattern, name):
            return words
    return message


def main(arguments: list[str]) -> None:
    only = arguments[arguments.index("--only") + 1] if "--only" in arguments else None
    rows = run(only)
    found = counts(rows)
    environment = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    failures = {name: {c: row[c] for c in COLUMNS if row[c] != "ok"} for name, row in rows.items()}
    data = {
        "environment": environment,
        "groups": found,
        "not_right": {name: columns for name, columns in failures.items() if columns},
    }
    RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(found, rows), encoding="utf-8")
    print(table(found))
    if "--update-exceptions" in arguments:
        text = json.dumps(exceptions(rows), indent=1, sort_keys=True)
        (HERE / "exceptions.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

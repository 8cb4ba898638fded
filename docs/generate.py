"""Write the tables in the documentation from the code, or check that they are what the code says.

A block stands between `<!-- generated: NAME -->` and `<!-- end -->`; everything between the two is replaced.

    python docs/generate.py            write
    python docs/generate.py --check    exit 1 with the names of blocks that are out of date
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from toolkit import cli, errors, formats, operators

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/cli.md", "docs/operators.md", "docs/patterns.md", "docs/results.md")
_BLOCK = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

# What opens each format in a process that has never heard of this toolkit.
_ALONE = {
    "onnx": "`onnxruntime.InferenceSession(path)`",
    "torchscript": "`torch.jit.load(path)`",
    "savedmodel": "`tf.saved_model.load(path).signatures['serving_default']`",
    "hdf5": "`keras.models.load_model(path)`",
    "keras": "`keras.models.load_model(path)`",
    "tflite": "`ai_edge_litert.interpreter.Interpreter(path)`",
}


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def formats_block() -> str:
    return table(
        ("format", "in a bundle", "devices", "opened, with nothing of ours, by"),
        (
            (form.name, f"`{form.file}`", ", ".join(form.devices), _ALONE[form.name])
            for form in formats.FORMATS.values()
        ),
    )


def sources_block() -> str:
    """Kinds of source with what a user writes for each; objects of the caller's own are for Python alone."""
    from exporters.sources.kinds import KINDS

    rows = (
        (kind.words, f"`{kind.example}`" if kind.example else "in Python alone", kind.runtime)
        for kind in KINDS.values()
    )
    return table(("source", "`toolkit export` ...", "opened in the worker"), rows)


def commands_block() -> str:
    hidden = ("worker",)
    return table(
        ("command", "what it does"), ((f"`toolkit {n}`", t) for n, t in cli.COMMANDS.items() if n not in hidden)
    )


def exit_codes_block() -> str:
    codes = {
        errors.EXIT_PASSED: "all passed",
        errors.EXIT_FAILED: "a verdict failed",
        errors.EXIT_USAGE: "usage or bad input",
        errors.EXIT_MISSING: "a device or runtime that was asked for is missing",
        errors.EXIT_CRASHED: "a worker crashed, hung or ran out of memory",
        errors.EXIT_UNSAFE: "refused as unsafe (needs `--trust`)",
        errors.EXIT_INCONCLUSIVE: "inconclusive",
    }
    return table(("exit code", "meaning"), ((str(code), words) for code, words in codes.items()))


@functools.cache
def known_operators() -> list[operators.Knowledge]:
    return operators.known()


def operators_block() -> str:
    """Operator x target, with the opsets at which its forms start."""
    known = known_operators()
    names = sorted({name for target in known for name in target.operators})
    rows = [
        (f"`{name}`", *(", ".join(map(str, target.operators.get(name, ()))) or "" for target in known))
        for name in names
    ]
    return table(("operator", *(f"{target.target} (up to opset {target.ceiling})" for target in known)), rows)


def operator_counts_block() -> str:
    known = known_operators()
    counts = (f"{len(target.operators)} for {target.target}" for target in known)
    return f"{' and '.join(counts)}; [all of them](docs/operators.md)\n"


def patterns_block() -> str:
    """Every pattern with its form, and the opset from which a file may hold its operator."""
    from exporters.graph.patterns import PATTERNS

    rows = [
        (f"`{name}`", "never" if row.since is None else str(row.since), " ".join(row.form.replace("|", "\\|").split()))
        for name, row in sorted(PATTERNS.items())
    ]
    return table(("operator", "in files from opset", "form"), rows)


def help_block() -> str:
    """Every command's own help, as it prints it at 100 columns."""
    parts = []
    for name in cli.COMMANDS:
        command: click.Command = import_module(f"toolkit.cli.{name}").command
        context = click.Context(command, info_name=f"toolkit {name}", max_content_width=100, terminal_width=100)
        parts.append(f"## toolkit {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def results_block() -> str:
    """R and latency of every cell, as last measured."""
    path = ROOT / "benchmarks" / "results" / "formats.json"
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    names = formats.ALL
    rows = [
        (source["name"], *(_cell(source["cells"][name]) for name in names), f"{100 * source['accuracy']:.1f} %")
        for source in data["sources"]
    ]
    words = f"Measured on {data['environment']['processor']}, {data['environment']['threads']} thread(s), CPU.\n\n"
    return words + table(("source", *names, "accuracy"), rows)


def evidence_block() -> str:
    """Right and wrong conversions put to the verdict, and to other ways of checking, in one sentence."""
    rows = json.loads((ROOT / "benchmarks/results/liars.json").read_text("utf-8"))["rows"]
    right = [row for row in rows if row["group"] in ("right", "seeds")]
    wrong = [row for row in rows if row["group"] in ("arithmetic", "interface")]
    flagged = sum(row["verdict"] != "PASS" for row in right)
    missed = sum(row["verdict"] == "PASS" for row in wrong)
    close = {way: sum(row["others"][way] for row in wrong) for way in ("polygraphy", "torch")}
    alarms = sum(not row["others"]["allclose"] for row in right)
    return (
        f"Of {len(right)} right conversions it flags {flagged}, of {len(wrong)} wrong ones it misses {missed}. On the "
        f"same outputs\n`numpy.allclose` flags {alarms} right ones; Polygraphy's defaults miss {close['polygraphy']} "
        f"wrong ones, `torch.onnx.export(verify=True)` {close['torch']}.\n"
    )


def _cell(cell: dict[str, Any]) -> str:
    ratio = "-" if cell["noise_ratio"] is None else f"{cell['noise_ratio']:.1f}"
    speed = f"{cell['latency']['ratio']:.2f}x" if cell["latency"] else "-"
    return f"{cell['verdict']} R {ratio}, {speed}"


BLOCKS: dict[str, Callable[[], str]] = {
    "formats": formats_block,
    "commands": commands_block,
    "evidence": evidence_block,
    "exit-codes": exit_codes_block,
    "operators": operators_block,
    "operator-counts": operator_counts_block,
    "help": help_block,
    "patterns": patterns_block,
    "results": results_block,
    "sources": sources_block,
}


def main(arguments: Sequence[str]) -> int:
    stale = []
    for page in PAGES:
        path = ROOT / page
        before = path.read_text(encoding="utf-8")
        after = _BLOCK.sub(lambda match: f"{match[1]}{BLOCKS[match['name']]()}{match[3]}", before)
        if after == before:
            continue
        stale.append(page)
        if "--check" not in arguments:
            path.write_text(after, encoding="utf-8")
    if "--check" in arguments and stale:
        print(f"out of date: {', '.join(stale)}; run `python docs/generate.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

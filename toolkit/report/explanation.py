"""A row of the table in plain words: what was measured, what it means, what else was looked at, what to do next."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.report.cells import difference, ratio
from toolkit.report.plain import plain
from toolkit.report.thresholds import ACCEPTED, ASKED, REJECTED, WORST, value_text
from toolkit.verification.divergence import Divergence
from toolkit.verification.report import Lens, OutputComparison, Row, Verdict

_OPENING = {
    Verdict.PASS: "The export predicts what its source predicts",
    Verdict.FAIL: "The export does not predict what its source predicts",
    Verdict.NOT_RUN: "Nothing was compared, because the file could not be run here",
    Verdict.CRASHED: "The process that ran this file died or had to be stopped",
    Verdict.INCONCLUSIVE: "Neither equality nor a difference could be shown",
    Verdict.REFUSED: "The file was not opened, because opening it could run code that came with it",
    Verdict.ERROR: "The request could not be carried out",
}
_NEXT = {
    Verdict.PASS: "",
    Verdict.NOT_RUN: "`toolkit doctor` shows what each runtime lacks here and the one line that mends it.",
    Verdict.CRASHED: (
        "Run this file alone to see whether it happens again; `toolkit doctor` shows whether the runtime is too old."
    ),
    Verdict.INCONCLUSIVE: "Give more inputs, or inputs of your own with --data, and make the source deterministic.",
    Verdict.REFUSED: "Only if you know where the file comes from: --trust opens it, bound to its present content.",
    Verdict.ERROR: "Mend what the reason names and run the command again.",
}
# What a FAIL calls for depends on the lenses, (name, passed): the first that says so, from the most telling on.
_NEXT_FAILED = {
    ("weights", False): "The file's weights are not the source's: export again from the checkpoint that was meant.",
    ("float64", False): (
        "In float64 the difference stays, so it is no rounding: an operator or a parameter is not the source's. "
        "Start where the reason points, and export again."
    ),
    ("float64", True): (
        "In float64 both sides agree, so weights and structure are right and the arithmetic differs: "
        "look for reduced precision, TF32, or a fused or approximate kernel."
    ),
}
_NEXT_WITHOUT_OUTPUTS = "Mend what the reason names and export again: without it nothing could be compared."
_NEXT_WITHOUT_LENS = (
    "Start where the reason points; where it names no place, compare operator by operator on the worst input."
)
_LENS_SAYS = {True: "passed", False: "failed", None: "could not look"}


def words(row: Row, thresholds: Mapping[str, float]) -> str:
    """One paragraph on a row, with every name in it made safe to print."""
    parts = [found(row, thresholds), *lenses(row), next_step(row)]
    return " ".join(part for part in parts if part)


def found(row: Row, thresholds: Mapping[str, float]) -> str:
    """The verdict, its reason and the figures."""
    reason = f": {plain(row.reason)}" if row.reason else ""
    parts = [_sentence(_OPENING[row.verdict] + reason), *measured(row, thresholds)]
    return " ".join(part for part in parts if part)


def measured(row: Row, thresholds: Mapping[str, float]) -> list[str]:
    """What was measured on the output that decides, and what the figure means against the thresholds."""
    output = row.worst_output
    if output is None:
        return []
    about = _exactly(output) if output.noise_ratio is None else _against_noise(output, output.noise_ratio, thresholds)
    return [*about, _classes(output)]


def lenses(row: Row) -> list[str]:
    return [_lens(lens) for lens in row.lenses]


def next_step(row: Row) -> str:
    """What to do about a row; empty for a PASS."""
    if row.verdict is not Verdict.FAIL:
        return _NEXT[row.verdict]
    if row.divergence is not None and row.divergence.operator is not None:
        return _at_the_place(row.divergence)
    if not row.outputs:
        return _NEXT_WITHOUT_OUTPUTS
    seen = {(lens.name, lens.passed) for lens in row.lenses}
    return next((advice for sign, advice in _NEXT_FAILED.items() if sign in seen), _NEXT_WITHOUT_LENS)


def _at_the_place(divergence: Divergence) -> str:
    """What is known of the operator where it starts, and what that calls for."""
    whose = (
        f"{plain(divergence.source_operator)} '{plain(divergence.source_node or '', 60)}'"
        if divergence.source_operator
        else ""
    )
    parts = [
        f"Look at {plain(divergence.operator or '')} '{plain(divergence.node or '', 60)}' in the file",
        f"against {whose} in the source" if whose else "",
        f"({plain(divergence.source_line, 90)})" if divergence.source_line else "",
    ]
    proof = (
        " Given there what the source has, the file's outputs agree with the source's: it is the cause."
        if divergence.proved
        else ""
    )
    return " ".join(part for part in parts if part) + "." + proof


def _exactly(output: OutputComparison) -> list[str]:
    name = _named(output)
    if output.identical:
        return [f"{name} is bit for bit the source's on all {output.count} inputs."]
    return [f"{name} was compared exactly and is not the same; the largest difference is {difference(output.max_abs)}."]


def _against_noise(output: OutputComparison, pooled: float, thresholds: Mapping[str, float]) -> list[str]:
    if output.identical:
        return [f"{_named(output)} is bit for bit the source's on all {output.count} inputs."]
    worst = "" if output.worst_ratio is None else f", and {ratio(output.worst_ratio)} times on the worst input"
    number = "" if output.worst_input is None or not worst else f" (number {output.worst_input})"
    return [
        f"{_named(output)} differs by at most {difference(output.max_abs)} over {output.count} inputs.",
        f"Against the truth its error is {ratio(pooled)} times the source's own rounding error{worst}{number}.",
        _meaning(pooled, output.worst_ratio or 0.0, thresholds),
    ]


def _meaning(pooled: float, worst: float, thresholds: Mapping[str, float]) -> str:
    """The figures against the limits: the first that is passed, from the worst on."""
    limit = {name: value_text(value) for name, value in thresholds.items()}
    usual = f"Rounding in another order costs up to {limit.get(ACCEPTED)} times"
    for name, value, words in (
        (REJECTED, pooled, f"{usual}; above {limit.get(REJECTED)} it is a mistake."),
        (WORST, worst, f"{usual}, and above {limit.get(WORST)} on no single input."),
        (ACCEPTED, pooled, f"{usual}, so it is an unlikely explanation here."),
        (ASKED, pooled, f"The limit that was asked for is {limit.get(ASKED)} times."),
    ):
        if name in thresholds and value > thresholds[name]:
            return words
    return f"{usual}: this is no more." if ACCEPTED in thresholds else ""


def _classes(output: OutputComparison) -> str:
    if output.agree is None or output.agree == output.count:
        return "" if output.agree is None else f"The largest class is the same on all {output.count} inputs."
    ties = (
        f" {output.ties} of the others are ties, where the source's own margin is below its rounding error."
        if output.ties
        else ""
    )
    return f"The largest class is the same on {output.agree} of {output.count} inputs.{ties}"


def _lens(lens: Lens) -> str:
    return _sentence(f"The {plain(lens.name)} lens {_LENS_SAYS[lens.passed]}: {plain(lens.detail)}")


def _named(output: OutputComparison) -> str:
    return f"Output '{plain(output.name, 60)}' ({plain(output.dtype, 20)})"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."

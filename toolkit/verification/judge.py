"""From measurements to a verdict. It fails closed: PASS needs every condition met, and anything else has a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.verification.compare import EXACT_ULP, Measured, Mismatch
from toolkit.verification.reference import Doubt
from toolkit.verification.report import Lens, OutputComparison, Verdict


@dataclass(frozen=True)
class Thresholds:
    """R up to `pass_ratio` passes, above `fail_ratio` fails, and between them more inputs decide, else it fails.

    The worst single input may reach `worst_ratio`. `atol`, `rtol` and `max_ratio` are the user's own and can only make
    the verdict stricter.
    """

    pass_ratio: float = 3.0
    fail_ratio: float = 10.0
    worst_ratio: float = 10.0
    atol: float | None = None
    rtol: float | None = None
    max_ratio: float | None = None

    @property
    def limit(self) -> float:
        return min(self.pass_ratio, self.max_ratio) if self.max_ratio is not None else self.pass_ratio

    def to_json(self) -> dict[str, float]:
        own = {"atol": self.atol, "rtol": self.rtol, "max_ratio": self.max_ratio}
        fixed = {"pass_ratio": self.pass_ratio, "fail_ratio": self.fail_ratio, "worst_ratio": self.worst_ratio}
        return fixed | {name: value for name, value in own.items() if value is not None}


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reason; `doubtful` asks for more inputs before it stands."""

    verdict: Verdict
    reason: str
    doubtful: bool = False


def judge_outputs(
    mismatches: Sequence[Mismatch],
    outputs: Sequence[tuple[OutputComparison, Measured | None]],
    thresholds: Thresholds,
) -> Judgement:
    """The first lens: what the outputs show in float32."""
    if mismatches:
        first = mismatches[0]
        more = f" (and {len(mismatches) - 1} more)" if len(mismatches) > 1 else ""
        return Judgement(Verdict.FAIL, f"{first.where}: {first.what}{more}")
    if not outputs:
        return Judgement(Verdict.FAIL, "no output was compared")
    judged = [_judge_output(output, measured, thresholds) for output, measured in outputs]
    failed = [item for item in judged if item.verdict is not Verdict.PASS]
    if failed:
        return next((item for item in failed if not item.doubtful), failed[0])
    if all(output.identical for output, _ in outputs):
        return Judgement(Verdict.PASS, "identical")
    return Judgement(Verdict.PASS, "")


def _judge_output(output: OutputComparison, measured: Measured | None, thresholds: Thresholds) -> Judgement:
    """One output: exact where the source is exact, else R; then the user's own limits."""
    where = f"output '{output.name}'"
    if output.identical:
        return Judgement(Verdict.PASS, "identical")
    if measured is None or (output.noise_ratio is None and not output.is_float):
        return Judgement(Verdict.FAIL, f"{where}: {output.dtype} values differ")
    if output.noise_ratio is None or output.worst_ratio is None:
        if not measured.exact_ulp <= EXACT_ULP:
            return Judgement(
                Verdict.FAIL, f"{where}: the source is exact, and the export differs by {measured.exact_ulp:.3g} ULP"
            )
        return _judge_own_limits(output, thresholds)
    return _judge_ratio(where, output, output.noise_ratio, output.worst_ratio, thresholds)


def _judge_ratio(where: str, output: OutputComparison, ratio: float, worst: float, thresholds: Thresholds) -> Judgement:
    if not ratio <= thresholds.fail_ratio:
        return Judgement(Verdict.FAIL, f"{where}: error {ratio:.3g} x the source's own rounding noise")
    if worst == float("inf"):
        words = f"{output.dtype} values differ on input {output.worst_input}, where the source's are certain"
        return Judgement(Verdict.FAIL, f"{where}: {words}")
    if not worst <= thresholds.worst_ratio:
        return Judgement(
            Verdict.FAIL, f"{where}: on input {output.worst_input} the error is {worst:.3g} x the source's own noise"
        )
    if not ratio <= thresholds.limit:
        doubt = thresholds.max_ratio is None or ratio > thresholds.pass_ratio
        what = f"error {ratio:.3g} x the source's own noise, above {thresholds.limit:g}"
        return Judgement(Verdict.FAIL, f"{where}: {what}", doubtful=doubt)
    return _judge_own_limits(output, thresholds)


def _judge_own_limits(output: OutputComparison, thresholds: Thresholds) -> Judgement:
    if thresholds.atol is not None or thresholds.rtol is not None:
        atol, rtol = thresholds.atol or 0.0, thresholds.rtol or 0.0
        # Stricter than |a - b| <= atol + rtol * |b| for each element: one of the two must hold for the largest.
        if not (output.max_abs <= atol or output.max_rel <= rtol):
            return Judgement(
                Verdict.FAIL,
                f"output '{output.name}': differs by {output.max_abs:.3g} (relative {output.max_rel:.3g}), "
                f"more than --atol {atol:g} --rtol {rtol:g}",
            )
    return Judgement(Verdict.PASS, "")


def judge_row(first: Judgement, lenses: Sequence[Lens]) -> Judgement:
    """The first lens, then the others: each can turn a PASS into a FAIL, none the other way."""
    if first.verdict is not Verdict.PASS:
        return first
    for lens in lenses:
        if lens.passed is False:
            return Judgement(Verdict.FAIL, f"{lens.name}: {lens.detail}")
    return first


def settled(judgement: Judgement, *, tried_more: bool) -> Judgement:
    """A doubtful judgement after all that could be done about it: it stands, and says so."""
    if not judgement.doubtful:
        return judgement
    why = "still doubtful after more inputs" if tried_more else "doubtful, and the source is not there for more inputs"
    return replace(judgement, reason=f"{judgement.reason}, {why}", doubtful=False)


def with_doubts(judgement: Judgement, doubts: Sequence[Doubt]) -> Judgement:
    """What a doubtful reference leaves of a judgement: no PASS, and of a blind one no FAIL either."""
    blind = next((doubt for doubt in doubts if doubt.blind), None)
    if blind is not None:
        return Judgement(Verdict.INCONCLUSIVE, blind.words)
    if doubts and judgement.verdict is Verdict.PASS:
        return Judgement(Verdict.INCONCLUSIVE, doubts[0].words)
    return judgement

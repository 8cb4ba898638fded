"""What files are compared with, as one thing: a live source with its answers, or a bundle's golden data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from exporters.precision.kinds import FULL
from exporters.sources.source import Source
from toolkit import manifest
from toolkit.signature import Signature
from toolkit.verification import condition, effort, golden, plan, reduced, reference
from toolkit.verification.compare import Measured
from toolkit.verification.judge import Thresholds
from toolkit.verification.plan import Data, Plan
from toolkit.verification.reduced import Yardstick
from toolkit.verification.reference import Answers
from toolkit.verification.report import OutputComparison, Reference
from toolkit.verification.sides import Side, open_source
from toolkit.verification.weights import Fingerprint
from toolkit.worker.pool import WorkerPool

Stage = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What a verification is asked to do."""

    devices: tuple[str, ...] = ("cpu",)
    count: int | None = None  # inputs to compare on; None: as many as `effort` finds affordable
    seed: int = 7
    thresholds: Thresholds = field(default_factory=Thresholds)
    latency: bool = True
    locate: bool = False  # on a FAIL, whether to look for the operator where it starts
    stage: Stage = lambda _: None
    search: float = 0.0  # seconds to look for a worse input than the plan's, for each file
    formats: tuple[str, ...] = ()  # of the files, where it matters for what their precision costs
    precision: str = FULL  # in which the files hold their weights and compute
    calibrate: str | Path | None = None  # from what int8 learned its ranges, where that is not the data
    trust: tuple[str, ...] | None = ()  # SHA-256 prefixes of files that may do more than compute; None: we wrote them


@dataclass
class Subject:
    """The reference of a verification: a live source, or a bundle's golden data (then `side` is None)."""

    name: str
    kind: str
    signature: Signature
    plan: Plan
    answers: Answers
    side: Side | None
    source: Source | None
    fingerprints: tuple[Fingerprint, ...]
    described: Reference
    extra: Answers | None = None
    data: Data | None = None
    yardstick: Yardstick | None = None  # of files in fewer bits
    asked: dict[bytes, dict[str, Any] | None] = field(default_factory=dict)  # the source's answers to searches
    found: dict[tuple[str, str], Answers] = field(default_factory=dict)  # by file and device, what a search found

    def more(self, count: int, seed: int) -> Answers | None:
        """Fresh inputs, where the source is there to answer for them; the same ones for every row."""
        if self.side is None:
            return None
        if self.extra is None:
            left_out = self.yardstick.asked.left_out if self.yardstick else frozenset()
            fresh = plan.make(self.signature, self.data, count=count, seed=seed, left_out=left_out,
                              ranges=self.side.ranges, vocabularies=self.side.vocabularies)  # fmt: skip
            self.extra = self.in_precision(reference.ask(self.side, fresh.batches))
        return self.extra

    def in_precision(self, answers: Answers) -> Answers:
        """The answers of the source in the files' own precision."""
        return self.yardstick.answers(answers, self.signature) if self.yardstick else answers

    def weighed(
        self, answers: Answers, compared: Sequence[tuple[OutputComparison, Measured | None]], limit: float
    ) -> Answers:
        """The answers, with the condition of the inputs above `limit` where those are few; kept for the next rows."""
        if self.side is None or self.yardstick or not answers.in_float64 or answers.doubts:
            return answers
        beyond = condition.beyond(self.signature, answers.batches, answers.source, compared, limit)
        found = condition.weigh(self.side, answers, beyond)
        if answers is self.answers:
            self.answers = found
        return found

    @property
    def all_answers(self) -> Answers:
        return self.answers if self.extra is None else self.answers.extended(self.extra)

    def answers_for(self, path: str, device: str) -> Answers:
        """The answers that a row's figures belong to: where a search found something, its input is among them."""
        return self.found.get((path, device), self.all_answers)

    def revive(self, pool: WorkerPool) -> None:
        """Open the source again where a file has brought down the worker that they share."""
        if self.side is None or self.source is None or self.side.is_open():
            return
        self.side = open_source(pool, self.source, device=self.side.ran_on)


def subject_of(pool: WorkerPool, side: Side, resolved: Source, data: str | Path | None, settings: Settings) -> Subject:
    """Plan the inputs for an opened source and have it answer for them."""
    given = data or resolved.facts.get("data")
    real = plan.load_data(Path(given), side.signature) if given else plan.of_examples(side.given, side.signature)
    asked = reduced.reduction(settings.precision, settings.calibrate, real, side.signature, settings.formats)
    if asked.precision == "int8" and real is None and settings.calibrate is not None:
        real = plan.load_data(reduced.files(Path(settings.calibrate))[0], side.signature)
    planned = partial(plan.make, side.signature, real, seed=settings.seed, left_out=asked.left_out,
                      ranges=side.ranges, vocabularies=side.vocabularies)  # fmt: skip
    settings.stage(f"run {resolved.name}")
    made = planned(count=settings.count) if settings.count else _affordable(side, planned)
    made = replace(made, not_tried=(*made.not_tried, *asked.not_tried))
    answers = reference.ask(side, made.batches)
    accuracy = reference.accuracy(side.contract, answers.batches, answers.source, made.labels)
    measure = None if asked.is_full else reduced.yardstick(pool, side, asked)
    if measure is not None:
        settings.stage(f"run {resolved.name} in {asked.precision}")
        answers = measure.answers(answers, side.signature)
    described = reference.describe(side, resolved.name, resolved.kind, answers, accuracy)
    prints = tuple(side.fingerprints())
    return Subject(
        resolved.name, resolved.kind, side.signature, made, answers, side, resolved, prints, described, data=real,
        yardstick=measure,
    )  # fmt: skip


def _affordable(side: Side, planned: Callable[..., Plan]) -> Plan:
    seconds = effort.measured(side, planned(count=plan.MINIMUM))
    count = effort.affordable(seconds)
    made = planned(count=count)
    return made if count == effort.MOST else replace(made, not_tried=(*made.not_tried, effort.words(count, seconds)))


def from_bundle(folder: Path) -> Subject:
    """The golden data of a bundle as a reference; it was recorded when the source was there."""
    listed = manifest.check(folder)
    data = golden.load(folder / golden.NAME)
    answers = Answers(
        data.batches, data.source, data.truth, "golden data of the export", conditions=data.conditions,
        precision=str(data.description.get("precision", FULL)),
    )  # fmt: skip
    made = Plan(data.batches, int(data.description.get("seed", 0)), None, ("inputs other than the golden ones",))
    described = Reference(
        str(folder), "bundle", str(data.description.get("runtime", "-")), "recorded", answers.how, True,
        data.description.get("accuracy"), answers.precision,
    )  # fmt: skip
    return Subject(str(folder), "bundle", listed.signature, made, answers, None, None, (), described)

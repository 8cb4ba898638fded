"""The result of a verification, as plain data that every kind of report is made from.

A `Row` is one file on one device, and a run that failed is a row with its reason, never a missing one. `to_json` is
the versioned schema of `--json`; numbers that are not finite become null there, with their meaning in `verdict`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Any

from toolkit.errors import (
    EXIT_CRASHED,
    EXIT_FAILED,
    EXIT_INCONCLUSIVE,
    EXIT_MISSING,
    EXIT_PASSED,
    EXIT_UNSAFE,
    EXIT_USAGE,
)
from toolkit.signature import is_float
from toolkit.verification.divergence import Divergence
from toolkit.verification.searched import Searched
from toolkit.verification.stages import StageTime

SCHEMA = "toolkit-report/1"


class Verdict(StrEnum):
    """What became of one file on one device. Only PASS is a pass."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"
    CRASHED = "CRASHED"
    INCONCLUSIVE = "INCONCLUSIVE"
    REFUSED = "REFUSED"
    ERROR = "ERROR"

    @property
    def exit_code(self) -> int:
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Verdict.PASS: EXIT_PASSED,
    Verdict.FAIL: EXIT_FAILED,
    Verdict.NOT_RUN: EXIT_MISSING,
    Verdict.CRASHED: EXIT_CRASHED,
    Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE,
    Verdict.REFUSED: EXIT_UNSAFE,
    Verdict.ERROR: EXIT_USAGE,
}
# Where rows disagree, the first of these that occurs is the command's exit code: a proven difference outweighs all.
_PRECEDENCE = (
    Verdict.FAIL,
    Verdict.CRASHED,
    Verdict.REFUSED,
    Verdict.ERROR,
    Verdict.NOT_RUN,
    Verdict.INCONCLUSIVE,
    Verdict.PASS,
)


@dataclass(frozen=True)
class Histogram:
    """Counts between `edges` (one more than counts); the scale is in `unit`."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    unit: str


@dataclass(frozen=True)
class OutputComparison:
    """One output, over all inputs.

    `noise_ratio` is R, the export's error against the float64 truth in units of the source's own error, pooled over
    inputs; `worst_ratio` is that of the worst single input. Both are None where outputs are compared exactly (exact
    arithmetic; integers, booleans and strings whose source agrees with its own truth). `agree` of `count` inputs have
    the same largest class; `ties` of the others have a margin below the source's own noise. `errors` is the
    distribution of the per-input ratio.
    """

    name: str
    dtype: str
    max_abs: float
    max_rel: float
    max_ulp: float
    cosine: float
    noise_ratio: float | None
    worst_ratio: float | None
    worst_input: int | None
    agree: int | None
    ties: int
    count: int
    identical: bool
    errors: Histogram | None = None

    @property
    def is_float(self) -> bool:
        return is_float(self.dtype)


@dataclass(frozen=True)
class Lens:
    """A second look: "float64" (both sides in float64) or "weights" (bit for bit).

    `passed` is None where it could not look; `detail` says what was seen or why not.
    """

    name: str
    passed: bool | None
    value: float | None
    detail: str


@dataclass(frozen=True)
class Latency:
    """Time per call of the source and of this file, measured in turns (A B B A), in milliseconds.

    `ratio` is this file's median over the source's; below 1 is faster. `low` and `high` bound it (bootstrap, 95 %).
    `verdict` is "faster", "slower" or "can't tell". `samples` holds the measured calls for the report's plots.
    """

    batch: int
    threads: int
    median: float
    p90: float
    p99: float
    source_median: float
    ratio: float
    low: float
    high: float
    verdict: str
    throughput: float
    cold_start: float
    calls: int
    copies: str
    noisy: bool
    samples: tuple[float, ...] = ()
    source_samples: tuple[float, ...] = ()


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """The exit code that verdicts amount to; none at all are inconclusive."""
    found = set(verdicts)
    return next((verdict.exit_code for verdict in _PRECEDENCE if verdict in found), EXIT_INCONCLUSIVE)


@dataclass(frozen=True)
class Row:
    """One file on one device."""

    format: str
    path: str
    device: str
    verdict: Verdict
    reason: str
    runtime: str = "-"
    ran_on: str = "-"
    outputs: tuple[OutputComparison, ...] = ()
    lenses: tuple[Lens, ...] = ()
    latency: Latency | None = None
    sha256: str | None = None
    notes: tuple[str, ...] = ()
    divergence: Divergence | None = None
    search: Searched | None = None
    accuracy: float | None = None  # on the labelled inputs, where there are any

    @property
    def worst_output(self) -> OutputComparison | None:
        """The output that the table shows: the one with the largest ratio, else the largest difference."""
        return max(self.outputs, key=lambda output: (output.noise_ratio or 0.0, output.max_abs), default=None)


@dataclass(frozen=True)
class Coverage:
    """What was tried and what was not, as data; `words` says it in sentences."""

    inputs: int
    real: int
    generated: int
    seed: int
    batch_sizes: tuple[int, ...]
    kinds: Mapping[str, int]
    not_tried: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"{self.inputs} inputs ({self.real} real, {self.generated} generated), seed {self.seed}"


@dataclass(frozen=True)
class Reference:
    """The source: what it is, how it ran, and what stands for the truth."""

    source: str
    kind: str
    runtime: str
    ran_on: str
    truth: str
    deterministic: bool
    accuracy: float | None = None
    precision: str = "fp32"  # of the files, where they are judged as a class of their own


@dataclass(frozen=True)
class Report:
    """A whole verification. `passed` only if there are rows and every one is PASS."""

    reference: Reference
    rows: tuple[Row, ...]
    coverage: Coverage
    thresholds: Mapping[str, float]
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    worst_inputs: str | None = None
    created: str = ""
    stages: tuple[StageTime, ...] = ()

    @property
    def passed(self) -> bool:
        return bool(self.rows) and all(row.verdict is Verdict.PASS for row in self.rows)

    @property
    def exit_code(self) -> int:
        return exit_code(row.verdict for row in self.rows)

    @property
    def counts(self) -> dict[str, int]:
        """Verdict -> number of rows, for the summary line; verdicts that did not occur are left out."""
        verdicts = [row.verdict for row in self.rows]
        return {verdict.value: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}

    def _repr_html_(self) -> str:
        """What a notebook shows. Fetched by name, since the pages are made from this data and not the other way."""
        shown: str = import_module("toolkit.report.html").notebook(self)
        return shown

    def to_json(self) -> dict[str, Any]:
        data = {
            "schema": SCHEMA,
            "passed": self.passed,
            "exit_code": self.exit_code,
            "created": self.created,
            "reference": asdict(self.reference),
            "rows": [asdict(row) for row in self.rows],
            "coverage": {**asdict(self.coverage), "words": self.coverage.words},
            "thresholds": dict(self.thresholds),
            "environment": dict(self.environment),
            "seconds": dict(self.seconds),
            "stages": [asdict(stage) for stage in self.stages],
            "worst_inputs": self.worst_inputs,
        }
        cleaned: dict[str, Any] = strict(data)
        return cleaned


def from_json(data: Mapping[str, Any]) -> Report:
    """Read back what `Report.to_json` wrote. Raises KeyError or TypeError for anything else."""
    if data["schema"] != SCHEMA:
        raise KeyError(f"schema {data['schema']}")
    coverage = {key: value for key, value in data["coverage"].items() if key != "words"}
    coverage |= {"batch_sizes": tuple(coverage["batch_sizes"]), "not_tried": tuple(coverage["not_tried"])}
    return Report(
        Reference(**data["reference"]),
        tuple(_row(row) for row in data["rows"]),
        Coverage(**coverage),
        data["thresholds"],
        data["environment"],
        data["seconds"],
        data["worst_inputs"],
        data["created"],
        tuple(StageTime(**stage) for stage in data.get("stages", ())),  # reports of earlier versions have none
    )


def _row(data: Mapping[str, Any]) -> Row:
    fields = dict(data)
    latency = fields.pop("latency")
    divergence = fields.pop("divergence", None)  # reports of earlier versions have none
    searched = fields.pop("search", None)
    outputs = fields.pop("outputs")
    return Row(
        **{
            **fields,
            "verdict": Verdict(fields["verdict"]),
            "notes": tuple(fields["notes"]),
            "lenses": tuple(Lens(**lens) for lens in fields["lenses"]),
            "outputs": tuple(_output(output) for output in outputs),
            "divergence": Divergence.from_json(divergence),
            "search": Searched.from_json(searched),
            "latency": _latency(latency) if latency else None,
        }
    )


def _latency(data: Mapping[str, Any]) -> Latency:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return Latency(**fields)


# Figures that are always there: null in JSON stands for one that is not finite.
_FIGURES = ("max_abs", "max_rel", "max_ulp", "cosine")


def _output(data: Mapping[str, Any]) -> OutputComparison:
    errors = data["errors"]
    histogram = Histogram(tuple(errors["edges"]), tuple(errors["counts"]), errors["unit"]) if errors else None
    figures = {name: math.nan if data[name] is None else data[name] for name in _FIGURES}
    return OutputComparison(**{**data, **figures, "errors": histogram})


def strict(value: Any) -> Any:
    """The same data as strict JSON can hold: NaN and the infinities become null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): strict(item) for key, item in value.items()}
        case list() | tuple():
            return [strict(item) for item in value]
    return value


def dumps(value: Any) -> str:
    """One strict JSON object, for `--json`."""
    return json.dumps(strict(value), indent=2, allow_nan=False)

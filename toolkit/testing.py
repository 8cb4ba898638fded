"""Equivalence as an assertion, for a project's own tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.verification.report import Report, Verdict


class NotRun(AssertionError):
    """Nothing differs, but not everything could be run: a device or a runtime is missing."""


def assert_equivalent(
    source: Any,
    targets: str | Path | Sequence[str | Path] = (),
    *,
    devices: Sequence[str] = ("cpu",),
    latency: bool = False,
    **options: Any,
) -> Report:
    """Verify that exported files predict what their source predicts; returns the report of a full pass.

    Args:
        source: a model object, a path, a "package.module:factory", or a bundle.
        targets: one exported file or several; none for a bundle means all of its own.
        devices: "cpu", "cuda" or "cuda:N"; every file is verified on each.
        latency: whether to time the files as well.
        **options: as of `toolkit.verify`.

    Raises AssertionError with the table, the reasons and, where it can be found, the operator where it starts; NotRun,
    which is one, where all that ran is equivalent and the rest could not be run here.
    """
    from toolkit.verification.verifier import verify

    listed = [targets] if isinstance(targets, str | Path) else list(targets)
    report = verify(source, listed, devices, latency=latency, **options)
    if report.passed:
        return report
    kind = NotRun if {row.verdict for row in report.rows} == {Verdict.PASS, Verdict.NOT_RUN} else AssertionError
    if report.rows and all(row.verdict is Verdict.NOT_RUN for row in report.rows):
        kind = NotRun
    raise kind(f"\n{text(report)}")


def text(report: Report) -> str:
    """The report as the command prints it, with every row that is no pass explained."""
    from rich.console import Console

    from toolkit.report import terminal

    console = Console(width=110, no_color=True, force_terminal=False)
    with console.capture() as captured:
        terminal.render(report, console)
        terminal.explain(report, console)
    return captured.get()

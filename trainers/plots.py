"""Curves for people: a run's history, and three frameworks' losses from the same start. Matplotlib without a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainers.loop import History, Score

# Okabe and Ito's colours, told apart by the colour-blind too; one meaning each across all plots.
_TRAIN, _VALIDATION, _TEST = "#0072B2", "#E69F00", "#444444"
_FRAMEWORKS = {"torch": ("#D55E00", "-", 3.6), "keras": ("#0072B2", "--", 2.2), "tensorflow": ("#009E73", ":", 2.0)}


def history(record: History, test: Score, title: str, path: Path) -> None:
    """Loss and accuracy per epoch, training and validation, with the test set's result as a line."""
    numbers = [row.epoch for row in record.epochs]
    figure, (left, right) = _figure(2, title)
    for axes, name, result in ((left, "loss", test.loss), (right, "accuracy", test.accuracy)):
        _curve(axes, numbers, [getattr(row, name) for row in record.epochs], _TRAIN, "training")
        held = [getattr(row, f"validation_{name}") for row in record.epochs]
        if held and held[0] is not None:
            _curve(axes, numbers, held, _VALIDATION, "validation")
        axes.axhline(result, color=_TEST, linestyle=":", linewidth=1.2, label=f"test {result:.3f}")
        if record.best:
            axes.axvline(record.best, color=_VALIDATION, linewidth=0.8, alpha=0.6, label=f"best, epoch {record.best}")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    left.set_ylim(bottom=0)
    _write(figure, path)


def same_start(losses: Mapping[str, Sequence[float]], differences: Sequence[float], title: str, path: Path) -> None:
    """The frameworks' losses step by step, and how far they part: the largest relative difference at each step."""
    figure, (left, right) = _figure(2, title)
    for framework, values in losses.items():
        colour, style, width = _FRAMEWORKS[framework]
        left.plot(range(1, len(values) + 1), values, style, color=colour, linewidth=width, label=framework)
    left.set(xlabel="step", ylabel="training loss")
    left.legend(frameon=False)
    # A difference of exactly 0 has no place on a logarithmic axis: it is drawn on its lower edge.
    right.semilogy(range(1, len(differences) + 1), [max(value, 1e-9) for value in differences], color=_TRAIN)
    right.axhline(1e-5, color=_TEST, linestyle=":", linewidth=1.2, label="1e-5")
    right.set(xlabel="step", ylabel="largest relative difference", ylim=(1e-9, None))
    right.legend(frameon=False)
    _write(figure, path)


def _figure(columns: int, title: str) -> tuple[Any, Any]:
    # Figures are made without pyplot: no global state, no window, nothing to close.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * columns, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(1, columns)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    return figure, panels


def _curve(axes: Any, numbers: Sequence[int], values: Sequence[float], colour: str, label: str) -> None:
    axes.plot(numbers, values, color=colour, marker="o" if len(numbers) <= 40 else None, markersize=3, label=label)


def _write(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=144)

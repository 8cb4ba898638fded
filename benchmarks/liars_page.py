"""docs/liars.md and its plot, from the figures of liars.py alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_PAGE = """\
# Right conversions and liars

Made by `{command}` (torch {torch}, onnxruntime {onnxruntime}, tensorflow {tensorflow}; CPU).
R is an export's error against the float64 truth in units of the source's own error; *pooled* is over all inputs,
*worst* that of the worst single input; of several outputs the largest is shown.

| model | right conversions | flagged | liars | caught |
|---|---:|---:|---:|---:|
{counts}

Right conversions were tried with {weights} sets of weights for each model, in workers of one thread and of two, at
batches of 1, 2, 3, 7, 32 and 64.

## The margin

![Pooled R of right conversions and of liars](liars.svg)

R up to {pass_ratio:g} passes, above {fail_ratio:g} fails at once; between the two, four times as many inputs decide.
The worst input may have {worst_ratio:g}.

- Right conversions: pooled R up to {right_pooled}, worst input up to {right_worst}.
- Liars that the pooled R shows: from {first_seen}, half of them above {middle_seen:.3g}.
- {hidden_count} of {numeric_count} liars lie below a pooled R of {pass_ratio:g}: the worst input, the run in float64 or
  the weights' bits show them.

## Other ways of checking

The same outputs, put to other ways with their own limits. None of them looks at interfaces, weights or float64; what
they let pass is a wrong file that nobody notices, what they flag is a right one that somebody must look into.

| way | liars let pass | right conversions flagged |
|---|---:|---:|
{ways}

## Liars that the pooled R does not show

| model | liar | pooled R | worst R | float64 | weights | reason |
|---|---|---:|---:|---|---|---|
{hidden}

## Mistakes that nothing shows

Smaller than what rounding a model's scalars to float32, as every file format does, may change.

| model | mistake | pooled R | worst R | float64 | weights | verdict |
|---|---|---:|---:|---|---|---|
{unseen}

## Right conversions, other weights

The largest of every model's weights and files.

| model | files | sets of weights | pooled R | worst R | flagged |
|---|---:|---:|---:|---:|---:|
{seeds}

## Right conversions

| model | file | pooled R | worst R | float64 | weights | verdict |
|---|---|---:|---:|---|---|---|
{right}

## All liars

| model | liar | pooled R | worst R | float64 | weights | reason |
|---|---|---:|---:|---|---|---|
{lies}

Lies of the process (crashes, hangs, memory, garbage, false devices) have no figures; `tests/verification/test_liars.py`
lists them.
"""


def page(record: dict[str, Any]) -> str:
    """docs/liars.md, from the figures alone."""
    rows, machine, limits = record["rows"], record["machine"], record["limits"]
    right, unseen = ([row for row in rows if row["group"] == group] for group in ("right", "unseen"))
    seeds = [row for row in rows if row["group"] == "seeds"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    lies = [row for row in rows if row["group"] in ("arithmetic", "interface")]
    numeric = sorted((row for row in lies if row["compared"] and row["pooled"] is not None), key=lambda r: r["pooled"])
    seen = [row for row in numeric if row["pooled"] > limits["pass_ratio"]]
    hidden = [row for row in numeric if row not in seen]
    return _PAGE.format(
        command=record["command"],
        torch=machine["torch"],
        onnxruntime=machine["onnxruntime-gpu"],
        tensorflow=machine["tensorflow"],
        **limits,
        weights=len({row["seed"] for row in seeds}),
        counts="\n".join(_counts(model, [*right, *seeds], lies) for model in (*models, "all")),
        ways=_ways(record["ways"], [*right, *seeds], lies),
        seeds="\n".join(_seeds(model, seeds) for model in models),
        right_pooled=_largest([*right, *seeds], "pooled"),
        right_worst=_largest([*right, *seeds], "worst"),
        first_seen=_figure(seen[0], "pooled"),
        middle_seen=seen[len(seen) // 2]["pooled"],
        hidden_count=len(hidden),
        numeric_count=len(numeric),
        hidden="\n".join(_line(row, row["reason"]) for row in hidden),
        unseen="\n".join(_line(row, row["verdict"]) for row in unseen),
        right="\n".join(_line(row, row["verdict"]) for row in right),
        lies="\n".join(_line(row, row["reason"]) for row in lies),
    )


def _counts(model: str, right: list[dict[str, Any]], lies: list[dict[str, Any]]) -> str:
    ours, theirs = ([row for row in rows if model in ("all", row["model"])] for rows in (right, lies))
    flagged = sum(row["verdict"] != "PASS" for row in ours)
    caught = sum(row["verdict"] == "FAIL" for row in theirs)
    return f"| {model} | {len(ours)} | {flagged} | {len(theirs)} | {caught} |"


def _ways(ways: dict[str, str], right: list[dict[str, Any]], lies: list[dict[str, Any]]) -> str:
    ours = (sum(row["verdict"] == "PASS" for row in lies), sum(row["verdict"] != "PASS" for row in right))
    lines = [f"| the verdict | {ours[0]} of {len(lies)} | {ours[1]} of {len(right)} |"]
    for way, words in ways.items():
        passed, flagged = sum(row["others"][way] for row in lies), sum(not row["others"][way] for row in right)
        lines.append(f"| {words} | {passed} of {len(lies)} | {flagged} of {len(right)} |")
    return "\n".join(lines)


def _seeds(model: str, seeds: list[dict[str, Any]]) -> str:
    rows = [row for row in seeds if row["model"] == model]
    weights, flagged = len({row["seed"] for row in rows}), sum(row["verdict"] != "PASS" for row in rows)
    largest = [max(row[key] for row in rows if row[key] is not None) for key in ("pooled", "worst")]
    return f"| {model} | {len(rows)} | {weights} | {largest[0]:.2f} | {largest[1]:.2f} | {flagged} |"


def plot(record: dict[str, Any], path: Path) -> None:
    """Pooled R of every file as a point, right ones beside wrong ones, with the limits."""
    import random

    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    draw = random.Random(0)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    groups = {"right": ("right", "seeds"), "liars": ("arithmetic", "interface")}
    for height, members in enumerate(groups.values()):
        found = [row["pooled"] for row in record["rows"] if row["group"] in members and row["pooled"] is not None]
        places = [height + draw.uniform(-0.35, 0.35) for _ in found]
        color = ("#2a7f3f", "#b3261e")[height]
        axes.scatter([max(value, 1e-2) for value in found], places, s=7, alpha=0.5, color=color, linewidths=0)
    for limit in ("pass_ratio", "fail_ratio"):
        axes.axvline(record["limits"][limit], color="#666666", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set_yticks([0, 1], list(groups))
    axes.set_xlabel("pooled R: error in units of the source's own rounding noise")
    figure.savefig(path, metadata={"Date": None})


def _largest(rows: list[dict[str, Any]], key: str) -> str:
    return _figure(max((row for row in rows if row[key] is not None), key=lambda row: row[key]), key)


def _figure(row: dict[str, Any], key: str) -> str:
    return f"{row[key]:.2f} ({row['model']}, {row['name']})"


def _line(row: dict[str, Any], last: str) -> str:
    ratios = ("-" if row[key] is None else f"{row[key]:.3g}" for key in ("pooled", "worst"))
    lenses = ({True: "agrees", False: "**differs**", None: "-"}[row[key]] for key in ("float64", "weights"))
    words = last.replace("|", "\\|").splitlines()[0][:110] if last else ""
    return " | ".join(["| " + row["model"], row["name"].replace("_", " "), *ratios, *lenses, words + " |"])

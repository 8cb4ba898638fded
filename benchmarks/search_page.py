"""docs/search.md, from the figures of search.py alone."""

from __future__ import annotations

from typing import Any

_PAGE = """\
# The search for the worst input

Made by `{command}` (torch {torch}, onnxruntime {onnxruntime}; {cores} cores, CPU).

`--search SECONDS` looks, for each file that has passed the plan, for an input on which it differs from its source after
all. What it finds is measured like everything else (against the truth in float64, with the input's condition), makes
the row a FAIL with the way that found it in the reason, and is saved by `--worst`. Where nothing is found, the row's
notes say how long was searched, on how many inputs, and what the largest R among them was.

- **sweeps**: every size of every dimension that may vary, magnitudes from 1e-45 to 1e8, special values in every place
  (zeros of both signs, whole numbers, powers, ends of the data, the constants of the file's graph and their
  neighbours), equal, sorted, sparse and one-hot elements, every whole number that the source takes.
- **branches**: the file's graph in PyTorch, in float64, with a margin for each comparison, limit, divisor and table
  entry; sides that no input has shown are reached by gradient, or by trial where there is none. Where source and file
  can both be differentiated, also uphill on their difference.
- **boundary**: halving between inputs of different classes until they are next to each other.
- **evolution**: changing and crossing the rows that differ most.

A difference on a jump of the source itself (a comparison, a rounding, a tie), where the last bit decides, is no one's
error: it counts only where the source hardly moves around the input, or where the inputs around it show it, too.

For the same seed the same inputs are tried in the same order within each way; how far each comes is a matter of time.

## Planted faults

{planted} files with one of {faults} faults each, on four models, as TorchScript and as ONNX. *Plan*: the verdict
without a search, on {count} inputs. *Random*: after it, {seconds:g} s of ordinary random inputs with the same measure;
*search*: {seconds:g} s of the search.

| | found | of |
|---|---:|---:|
| the plan alone | {by_plan} | {planted} |
| the plan, then random inputs | {by_random} | {planted} |
| the plan, then the search | {by_search} | {planted} |

Of the {hidden} that the plan lets pass, random inputs find {random_hidden}, the search {search_hidden}; half of those
within {median:.1f} s, and the slowest after {slowest:.1f} s.

| model | file | fault | plan | random | search | after | inputs |
|---|---|---|---|---|---|---:|---:|
{rows}

## Right conversions

{right} files without a fault, {seconds:g} s of search each: {alarms} false alarms.

| model | file | source of | inputs | largest R | differences on jumps | verdict |
|---|---|---|---:|---:|---:|---|
{rights}

## What it cannot do

A branch is reached by its graph only where the file has an ONNX form that PyTorch rebuilds; loops are not looked into,
and a margin without a slope (a hash, a remainder) is climbed by trial alone. Sizes end at {largest}, magnitudes at
1e8, beyond which overflow decides. What differs on the jumps of the source alone (halves rounded up, not to even; the
order of ties) cannot be told from rounding: the notes count it, and it is no FAIL. A fault in one point of hidden
results that no constant of the graph names is found by luck.
"""

_LARGEST = 513


def page(record: dict[str, Any]) -> str:
    """docs/search.md, from the figures alone."""
    rows = record["rows"]
    planted = [row for row in rows if row["group"] == "planted"]
    right = [row for row in rows if row["group"] == "right"]
    hidden = [row for row in planted if row["plan"] == "PASS"]
    found = sorted(row["search"]["seconds"] for row in hidden if row["search"]["by"])
    lucky = [row for row in hidden if row["random"]["by"]]
    by_plan = len(planted) - len(hidden)
    return _PAGE.format(
        command=record["command"],
        torch=record["machine"]["torch"],
        onnxruntime=record["machine"]["onnxruntime-gpu"],
        cores=record["machine"]["cores"],
        seconds=record["seconds"],
        count=record["count"],
        planted=len(planted),
        faults=len({row["fault"] for row in planted}),
        by_plan=by_plan,
        by_random=by_plan + len(lucky),
        by_search=by_plan + len(found),
        hidden=len(hidden),
        random_hidden=len(lucky),
        search_hidden=len(found),
        median=found[len(found) // 2] if found else 0.0,
        slowest=found[-1] if found else 0.0,
        rows="\n".join(map(_planted, planted)),
        right=len(right),
        alarms=sum(_verdict(row) != "PASS" for row in right),
        rights="\n".join(map(_right, right)),
        largest=_LARGEST,
    )


def _planted(row: dict[str, Any]) -> str:
    head = f"| {row['model']} | {row['format']} | {row['words']} "
    if row["plan"] != "PASS":
        return f"{head}| found | | | | |"
    search = row["search"]
    by = search["by"] or "**missed**"
    return (
        f"{head}| - | {'found' if row['random']['by'] else '-'} | {by} | {search['seconds']:.1f} s "
        f"| {search['inputs']:,} |"
    )


def _verdict(row: dict[str, Any]) -> str:
    return "FAIL" if row["plan"] != "PASS" or row["search"]["by"] else "PASS"


def _right(row: dict[str, Any]) -> str:
    search = row["search"] or {"inputs": 0, "worst": None, "jumps": 0}
    worst = "-" if search["worst"] is None else f"{search['worst']:.2g}"
    return (
        f"| {row['model']} | {row['format']} | {row['words']} | {search['inputs']:,} | {worst} | {search['jumps']} "
        f"| {_verdict(row)} |"
    )

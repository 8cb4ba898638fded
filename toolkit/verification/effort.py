"""How many inputs a verdict stands on where the user does not say: as many as take the source seconds, not minutes."""

from __future__ import annotations

from toolkit.verification import plan
from toolkit.verification.plan import Plan
from toolkit.verification.sides import Side

MOST = 512
SECONDS = 10.0  # of the source's own time; float64, the second run and the files take a multiple of it


def affordable(seconds: float) -> int:
    """Inputs of that many seconds each: `MOST` or a half, a quarter ... of it: noise seldom changes that."""
    count = MOST
    while count > plan.MINIMUM and count * seconds > SECONDS:
        count //= 2
    return count


def measured(side: Side, planned: Plan) -> float:
    """Seconds that one input takes an opened source, measured on the plan's first batch."""
    batch = planned.batches[0]
    side.run([batch])  # the first run compiles and allocates, and is the one to say what is wrong with the model
    taken = side.timer(batch.inputs)(1)
    return float(taken.nanoseconds[0]) / 1e9 / batch.size


def words(count: int, seconds: float) -> str:
    """What was left out, for the report."""
    return f"more than {count} inputs, one of which takes the source {seconds:.2g} s: --count {MOST} tries more"

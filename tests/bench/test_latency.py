"""Latency on a made-up machine: every figure is chosen here, and no real clock is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.bench import latency
from toolkit.bench.latency import LEAST_ROUNDS, MOST_ROUNDS, Timed


class Machine:
    """A clock that only calls move, and a log of who was called."""

    def __init__(self):
        self.now = 0.0
        self.log = []
        self.generator = np.random.default_rng(0)

    def clock(self):
        return self.now

    def model(self, name, seconds, *, spread=0.02, cpu=1.0, slow_every=0, slow=1.0, first=0.0):
        """Takes `seconds` a call, `slow` times as long on every so-manieth block; `first` longer on its first call."""
        blocks = 0

        def call(calls):
            nonlocal blocks
            blocks += 1
            self.log.append((name, calls))
            factor = slow if slow_every and blocks % slow_every == 0 else 1.0
            times = seconds * factor * (1 + spread * np.abs(self.generator.standard_normal(calls)))
            if blocks == 1:
                times[0] += first
            self.now += float(times.sum())
            return Timed((times * 1e9).astype(np.int64), None if cpu is None else int(times.sum() * 1e9 * cpu))

        return call

    def compare(self, model, reference, crowded=lambda: False, **named):
        return latency.compare(model, reference, clock=self.clock, crowded=crowded, **named)


@pytest.fixture
def machine():
    return Machine()


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (0.001, 0.002, "faster"),
        (0.002, 0.001, "slower"),
        (0.001, 0.001, "can't tell"),
        (0.00001, 0.0001, "faster"),
        (0.3, 0.1, "slower"),
    ],
)
def test_a_quiet_machine_tells(machine, ours, theirs, verdict):
    found = machine.compare(machine.model("a", ours), machine.model("b", theirs))
    assert (found.verdict, found.disturbance) == (verdict, None)
    assert found.ratio == pytest.approx(ours / theirs, rel=0.05)
    assert found.low <= found.ratio * 1.02
    assert found.high >= found.ratio * 0.98


def test_a_difference_within_the_spread_cannot_be_told(machine):
    found = machine.compare(machine.model("a", 0.001, spread=0.2), machine.model("b", 0.00101, spread=0.2))
    assert found.verdict == "can't tell"


NOISE = {
    "wall time far above CPU time": {"cpu": 0.5},
    "rounds differ from each other": {"slow_every": 3, "slow": 5.0},
    "calls differ from each other": {"spread": 3.0},
}


def disturbed(machine, why, noisy_side, ratio):
    model = machine.model("a", 0.0001 * ratio, **NOISE[why] if noisy_side == "model" else {})
    reference = machine.model("b", 0.0001, **NOISE[why] if noisy_side == "reference" else {})
    found = machine.compare(model, reference)
    assert found.noisy
    assert found.disturbance in NOISE
    return found


@pytest.mark.parametrize("why", NOISE)
@pytest.mark.parametrize("noisy_side", ["model", "reference"])
@pytest.mark.parametrize("ratio", [0.8, 1.3])
def test_on_a_disturbed_machine_nothing_close_is_claimed(machine, why, noisy_side, ratio):
    assert disturbed(machine, why, noisy_side, ratio).verdict == "can't tell"


@pytest.mark.parametrize("why", NOISE)
@pytest.mark.parametrize("noisy_side", ["model", "reference"])
@pytest.mark.parametrize(("ratio", "right"), [(0.1, "faster"), (34.0, "slower")])
def test_a_disturbed_machine_hides_no_large_difference(machine, why, noisy_side, ratio, right):
    assert disturbed(machine, why, noisy_side, ratio).verdict == right


def crowded(machine, ours, theirs, *, ours_cpu=1.0, theirs_cpu=1.0):
    model, reference = machine.model("a", ours, cpu=ours_cpu), machine.model("b", theirs, cpu=theirs_cpu)
    found = machine.compare(model, reference, crowded=lambda: True)
    assert found.disturbance in ("other processes wanted the cores", "wall time far above CPU time")
    return found.verdict


def test_where_others_want_the_cores_cpu_time_is_the_witness(machine):
    assert crowded(machine, 0.034, 0.001) == "slower"
    assert crowded(machine, 0.001, 0.034) == "faster"


@pytest.mark.parametrize("cpu", [1 / 34, None])
def test_waiting_for_a_core_is_not_slowness(machine, cpu):
    """34 times as long on the clock and no more work, or nobody knows how much."""
    assert crowded(machine, 0.034, 0.001, ours_cpu=cpu) == "can't tell"
    assert crowded(machine, 0.001, 0.034, theirs_cpu=cpu) == "can't tell"


def test_others_who_want_the_cores_once_disturb_nothing(machine):
    turns = iter([True] + [False] * MOST_ROUNDS)
    found = machine.compare(machine.model("a", 0.002), machine.model("b", 0.001), crowded=lambda: next(turns))
    assert found.verdict == "slower"


def test_a_few_lost_rounds_are_left_out(machine):
    """One block in nine lost its core: the others are enough."""
    blocks = 0
    real = machine.model("a", 0.0005)

    def model(calls):
        nonlocal blocks
        blocks += 1
        timed = real(calls)
        return Timed(timed.nanoseconds * 9, timed.cpu) if blocks % 9 == 0 else timed

    found = machine.compare(model, machine.model("b", 0.001), seconds=10)
    assert (found.verdict, found.disturbance) == ("faster", None)
    assert found.samples.max() < 1.0
    assert len(found.samples) < MOST_ROUNDS * 2 * 12


def test_the_fastest_calls_must_agree(machine):
    """Medians say slower by a hair where the fastest tenth is faster: nothing is claimed."""
    found = latency.Comparison(np.ones(3), np.ones(3), ratio=1.2, low=1.1, high=1.3, fastest=0.9)
    assert found.verdict == "can't tell"
    found = latency.Comparison(np.ones(3), np.ones(3), ratio=0.8, low=0.7, high=0.9, fastest=1.1)
    assert found.verdict == "can't tell"


def test_a_device_has_no_cpu_time(machine):
    found = machine.compare(machine.model("a", 0.001, cpu=None), machine.model("b", 0.002, cpu=None))
    assert found.verdict == "faster"


def test_turns_are_a_b_b_a(machine):
    machine.compare(machine.model("export", 0.001), machine.model("source", 0.001))
    names = [name for name, _ in machine.log]
    turns = names[-4 * LEAST_ROUNDS :]
    assert turns == ["source", "export", "export", "source"] * LEAST_ROUNDS
    assert {calls for name, calls in machine.log[-4 * LEAST_ROUNDS :]} <= {5, 6}


def test_one_callable_on_both_sides_is_measured_on_both(machine):
    model = machine.model("a", 0.001)
    found = machine.compare(model, model)
    assert len(found.samples) == len(found.reference)
    assert found.verdict == "can't tell"


def test_warm_up_goes_on_until_it_is_stable(machine):
    """A first call that compiles for 50 ms is not among the samples."""
    found = machine.compare(machine.model("a", 0.001, first=0.05), machine.model("b", 0.001, first=0.05))
    assert found.samples.max() < 2
    assert machine.log[-1][1] >= 5  # calls in a block: as many as fit in at the model's speed once it is warm


def test_warm_up_ends_even_where_nothing_is_stable(machine):
    def restless(calls):
        machine.log.append(("a", calls))
        seconds = 0.001 * 2 ** (len(machine.log) % 5)
        machine.now += seconds * calls
        return Timed(np.full(calls, seconds * 1e9), None)

    found = machine.compare(restless, machine.model("b", 0.001))
    assert found.noisy
    assert machine.now < 3


@pytest.mark.parametrize("seconds", [1e-6, 1e-4, 0.001, 0.01])
def test_a_row_costs_half_a_second(machine, seconds):
    machine.compare(machine.model("a", seconds), machine.model("b", seconds))
    assert machine.now < latency.SECONDS + 0.1


def test_a_slow_model_is_called_as_often_as_needed_and_no_more(machine):
    machine.compare(machine.model("a", 1.0), machine.model("b", 1.0))
    assert sum(calls for name, calls in machine.log if name == "a") <= 2 * LEAST_ROUNDS + 3


def test_the_interval_is_the_same_every_time():
    first, second = (Machine().compare(*_pair(Machine())) for _ in range(2))
    assert (first.low, first.high) == (second.low, second.high)


def _pair(machine):
    return machine.model("a", 0.001, spread=0.1), machine.model("b", 0.0011, spread=0.1)


def test_percentiles():
    assert latency.summary(np.arange(101.0)) == {"median": 50.0, "p90": 90.0, "p99": 99.0}


def test_the_load_of_this_machine_can_be_asked():
    assert latency.busy_elsewhere() in {True, False}

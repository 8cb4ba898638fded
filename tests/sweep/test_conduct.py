"""Handing out tasks: never more at once than lanes and memory allow, and one that fails or dies stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.report.fleet import Outcome
from toolkit.sweep import conduct
from toolkit.sweep.conduct import Died, Done, Watcher
from toolkit.sweep.task import Task
from toolkit.verification.report import Verdict


class Pretend:
    """Lanes in which a task ends when it is asked about, the last started first; some kill their lane."""

    def __init__(self, count, deadly=()):
        self.count = count
        self.deadly = deadly
        self.running = {}
        self.most = 0
        self.alone = []

    def start(self, index, task):
        assert index not in self.running
        assert index < self.count
        self.running[index] = task
        self.most = max(self.most, len(self.running))
        self.alone.append((task.name, len(self.running)))

    def wait(self, seconds):
        index, task = self.running.popitem()
        if task.name in self.deadly:
            return [Died(index, "SIGKILL")]
        return [Done(index, Outcome(task.name, task.source, Verdict.PASS, "", 1.0, None))]


def tasks(*names):
    return [Task(name, "a:b", {}, Path("out") / name, Path()) for name in names]


def run(lanes, todo):
    kept = []
    found = conduct.run(lanes, todo, lambda task, outcome: kept.append(outcome), Watcher())
    assert kept == found
    return {outcome.name: outcome for outcome in found}


def test_all_are_carried_out_in_as_many_lanes_as_there_are(monkeypatch):
    monkeypatch.setattr(conduct, "available_memory", lambda: 100_000_000_000)
    lanes = Pretend(2)
    assert set(run(lanes, tasks("a", "b", "c", "d", "e"))) == set("abcde")
    assert lanes.most == 2


def test_a_lane_that_dies_is_an_outcome_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(conduct, "available_memory", lambda: 100_000_000_000)
    found = run(Pretend(2, deadly=("b",)), tasks("a", "b", "c"))
    assert found["b"].verdict is Verdict.CRASHED
    assert found["b"].reason == "WorkerCrashed: the process that exported it ended (SIGKILL)"
    assert found["a"].verdict is found["c"].verdict is Verdict.PASS


def test_what_memory_has_no_room_for_waits_and_runs_alone(monkeypatch, tmp_path):
    (tmp_path / "large.onnx").write_bytes(b"0" * 1_000_000)
    monkeypatch.setattr(conduct, "_COPIES", 10_000)
    monkeypatch.setattr(conduct, "available_memory", lambda: 5_000_000_000)
    large = Task("large", "large.onnx", {}, tmp_path / "out", tmp_path)
    assert conduct.needs(large) == 12_000_000_000
    lanes = Pretend(3)
    run(lanes, [*tasks("a", "b"), large, *tasks("c", "d")])
    assert lanes.most == 2
    assert dict(lanes.alone)["large"] == 1


@pytest.mark.parametrize(
    ("count", "threads", "memory", "jobs"),
    [(9, None, 100, 4), (2, None, 100, 2), (9, 2, 100, 2), (9, None, 5, 2), (9, 8, 100, 1), (9, None, 1, 1)],
)
def test_usual_jobs_follow_cores_memory_and_models(monkeypatch, count, threads, memory, jobs):
    monkeypatch.setattr(conduct, "available_memory", lambda: memory * 1_000_000_000)
    assert conduct.usual_jobs(count, threads, 4) == jobs

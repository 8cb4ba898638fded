"""Where the time went: every second that a worker tells of lies in one stage."""

from __future__ import annotations

import pytest

from toolkit.verification import stages


def test_seconds_are_summed_by_stage():
    spent = {
        "open_source": {"wall": 1.0, "cpu": 2.0},
        "open_file": {"wall": 0.5, "cpu": 0.5},
        "in the models": {"wall": 4.0, "cpu": 8.0},
        "a task that nobody named": {"wall": 0.25, "cpu": 0.25},
    }
    found = {stage.name: (stage.wall, stage.cpu) for stage in stages.of(spent, wall=10.0, cpu=1.5)}
    assert found == {
        "in the models": (4.0, 8.0),
        "open the models": (1.5, 2.5),
        "measure and judge": (4.25, 1.5),
        "search and locate": (0.25, 0.25),
    }


@pytest.mark.parametrize("task", ["open_file", "open_float64", "open_onnx_float64", "run", "time_calls", "fingerprints",
                                  "weights", "stored_weights", "adopt_signature", "open_estimate"])  # fmt: skip
def test_every_named_task_is_one(task):
    from toolkit.verification import tasks

    assert callable(getattr(tasks, task))
    assert stages.of({task: {"wall": 1.0, "cpu": 1.0}}, 1.0, 0.0)[0].name != stages.OTHER

"""The same sweep on a real Ray of this machine."""

from __future__ import annotations

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'model-toolkit[ray]'")


def test_a_sweep_on_ray_is_the_same_sweep(fleet):
    done = fleet("--ray", "--jobs", "2")
    assert (done.code, done.verdicts) == (2, {"first": "PASS", "broken": "ERROR", "second": "PASS"}), done.err
    assert sorted(path.name for path in (done.folder / "out").iterdir()) == [
        ".sweep", "first", "second", "sweep.html", "sweep.json", "sweep.md"]  # fmt: skip
    assert fleet().cached == {"first", "second"}  # whoever made it


def test_no_ray_there(fleet):
    done = fleet("--ray", "127.0.0.1:1")
    assert done.code == 2
    assert "--ray 127.0.0.1:1: there is no Ray to connect to" in done.err

"""The GitHub Action's and the GitLab job's own scripts, run as those services run them, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.limits import HANG

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "tests" / "certificates" / "schema-1"


def shell(script, folder, **environment):
    """Run a script with nothing in its environment but what is given, and this interpreter's commands."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
        cwd=folder, env={"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, check=False, timeout=HANG,
    )  # fmt: skip


@pytest.fixture(scope="module")
def action():
    return yaml.safe_load((ROOT / "action.yml").read_text())


def step(action, name):
    return next(each for each in action["runs"]["steps"] if each.get("name") == name)


def github(action, folder, **inputs):
    """The verify step with these inputs; the rest are the action's defaults."""
    given = {name: inputs.get(name, entry.get("default", "")) for name, entry in action["inputs"].items()}
    environment = {
        name: given[value.removeprefix("${{ inputs.").removesuffix(" }}")]
        for name, value in step(action, "Verify")["env"].items()
    }
    files = {name: str(folder / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    return shell(
        step(action, "Verify")["run"], folder, GITHUB_ACTIONS="true", RUNNER_TEMP=str(folder), **files, **environment
    )


def test_the_action_verifies_a_bundle(action, tmp_path):
    done = github(action, tmp_path, source=str(BUNDLE), options="--threads=1\n\n--device\ncpu\n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "github_output").read_text() == f"report={tmp_path}/toolkit-report\n"
    assert {path.name for path in (tmp_path / "toolkit-report").iterdir()} == {
        "report.html",
        "report.json",
        "junit.xml",
    }
    assert "PASS" in (tmp_path / "github_step_summary").read_text()
    assert "::error" not in done.stderr


def test_the_action_fails_with_annotations(action, tmp_path):
    done = github(action, tmp_path, source=str(BUNDLE), options="--device\ncuda")
    assert done.returncode == 3
    assert "::warning title=onnx" in done.stderr
    assert (tmp_path / "toolkit-report" / "junit.xml").is_file()


def test_an_input_of_the_action_is_no_command(action, tmp_path):
    done = github(action, tmp_path, source="$(touch broken)", targets="; touch broken")
    assert done.returncode == 2
    assert not (tmp_path / "broken").exists()


def test_no_expression_stands_in_a_script(action):
    """GitHub pastes expressions into scripts before bash reads them."""
    scripts = [each["run"] for each in action["runs"]["steps"] if "run" in each]
    assert len(scripts) == 2
    assert not any("${{" in script for script in scripts)


def test_the_job_of_gitlab(tmp_path):
    job = yaml.safe_load((ROOT / "examples" / "ci" / "gitlab.yml").read_text())[".toolkit-verify"]
    variables = {**job["variables"], "SOURCE": str(BUNDLE), "OPTIONS": "--threads 1"}
    done = shell("\n".join(job["script"]), tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / job["artifacts"]["reports"]["junit"]).is_file()


def test_the_hook_runs_on_manifests(tmp_path):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    done = shell(f"{hook['entry']} {BUNDLE}/manifest.json", tmp_path)
    assert (done.returncode, done.stdout[:4]) == (0, "PASS"), done.stderr
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - nothing at all may be left

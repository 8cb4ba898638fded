"""The plugin in a pytest of its own, on real bundles: a pass, a difference, a device that is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.limits import HANG

TESTS = """
import pytest

def test_right(assert_equivalent):
    report = assert_equivalent({bundle!r}, {right!r})
    assert report.passed and len(report.rows) == 1

def test_wrong(assert_equivalent):
    assert_equivalent({bundle!r}, {wrong!r})

def test_no_gpu(assert_equivalent):
    assert_equivalent({bundle!r}, {right!r}, devices=["cpu", "cuda"])

@pytest.mark.equivalence(devices=["cuda"])
def test_marked(assert_equivalent):
    assert_equivalent({bundle!r}, {right!r})
"""


@pytest.fixture(scope="module")
def written(exports, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    bundle = exports["torch"]
    wrong = folder / "wrong.onnx"
    shutil.copy(exports["keras"].file("onnx"), wrong)
    texts = {"bundle": str(bundle.folder), "right": str(bundle.file("onnx")), "wrong": str(wrong)}
    (folder / "test_models.py").write_text(TESTS.format(**texts))
    return folder


def outcome(folder, *arguments):
    """The inner run; without plugins other than ours, as if no other were installed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "toolkit.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-ra",
        *arguments,
    ]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=HANG,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.stdout


def test_pass_difference_and_missing_device(written):
    text = outcome(written)
    assert "1 failed, 1 passed, 2 skipped" in text
    assert "FAIL" in text
    assert "NOT RUN" in text
    assert "lib" in text  # the skip names the library that is missing


def test_skips_can_be_failures(written):
    assert "3 failed, 1 passed" in outcome(written, "--toolkit-fail-on-skip")


def test_devices_of_the_command_line(written):
    text = outcome(written, "--toolkit-device", "cuda", "-k", "right")
    assert "1 skipped" in text


def test_the_marker_is_known_to_pytest(written):
    assert "@pytest.mark.equivalence(devices=..., **options)" in outcome(written, "--markers")

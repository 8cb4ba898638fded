"""The pytest plugin: a fixture `assert_equivalent`, its options and its marker. Imports nothing heavy by itself.

def test_export(assert_equivalent):
    assert_equivalent("my_models:classifier", "classifier.onnx", devices=["cpu"])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from toolkit.verification.report import Report

_MARKER = (
    "equivalence(devices=..., **options): what `assert_equivalent` is called with in this test, where it is not told"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("toolkit", "equivalence of exported models")
    group.addoption(
        "--toolkit-device", action="append", metavar="DEVICE", help="Verify on this device; repeatable.  [default: cpu]"
    )
    group.addoption(
        "--toolkit-fail-on-skip",
        action="store_true",
        help="Let a test fail, not skip, where a device or a runtime is missing.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def assert_equivalent(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`toolkit.assert_equivalent` with the devices of the command line and the options of the test's marker.

    What could not be run for want of a device is a skipped test, unless `--toolkit-fail-on-skip` says otherwise; a test
    that skipped has proved nothing, and says so.
    """
    marker = request.node.get_closest_marker("equivalence")
    defaults: dict[str, Any] = dict(marker.kwargs) if marker else {}
    chosen = request.config.getoption("--toolkit-device")
    if chosen:
        defaults["devices"] = tuple(chosen)

    def check(source: Any, targets: Any = (), **options: Any) -> Report:
        from toolkit.testing import NotRun, assert_equivalent

        try:
            return assert_equivalent(source, targets, **(defaults | options))
        except NotRun as missing:
            if request.config.getoption("--toolkit-fail-on-skip"):
                raise
            pytest.skip(str(missing).strip())

    return check

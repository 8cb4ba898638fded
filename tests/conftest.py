"""What tests of several folders share: tiny models as a user's files, warm workers, and one good export of each.

Nothing here is made before a test asks for it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import zoo
from tests.limits import HANG

COUNT = 32  # the fewest inputs that a verdict takes

# How long an example takes is a matter of the machine, and says nothing of the code.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--until", type=datetime.fromisoformat, metavar="TIME", help="begin no test after this time: skip those left"
    )


def pytest_configure() -> None:
    # A shell starts what it puts in the background deaf to Ctrl-C, and so would be the children that tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    until = item.config.getoption("--until")
    if until is not None and datetime.now(until.tzinfo) > until:
        pytest.skip(f"not begun by {until:%H:%M}, the time that --until gives")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module for each tiny model."""
    folder = tmp_path_factory.mktemp("models")
    for name, text in zoo.MODELS.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture(scope="session")
def pool() -> Iterator[Any]:
    """Workers that stay warm for the whole session."""
    from toolkit.worker.limits import Limits
    from toolkit.worker.pool import WorkerPool

    with WorkerPool(limits=Limits(threads=1, seconds=HANG)) as made:
        yield made


class _Shared:
    """Stands in for WorkerPool: the session's own, for whoever asks for nothing special."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def __call__(self, *, limits: Any = None, commands: Any = None) -> Any:
        from toolkit.worker.limits import Limits

        usual = limits is None or (limits.memory, limits.seconds) == (Limits().memory, 900.0)
        return self if usual and not commands else type(self.pool)(limits=limits, commands=commands)

    def __enter__(self) -> Any:
        return self.pool

    def __exit__(self, *_: object) -> None:
        """The session closes it."""


@pytest.fixture
def warm(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands and functions that run in this process use the session's workers."""
    from toolkit import bundle
    from toolkit.verification import verifier
    from toolkit.worker import pool as pools

    shared = _Shared(pool)
    for module in (bundle, verifier, pools):
        monkeypatch.setattr(module, "WorkerPool", shared)


@dataclass(frozen=True)
class Export:
    """A good export: its bundle, and its source as the command line names it."""

    source: str
    folder: Path
    inputs: tuple[str, ...] = ()

    def file(self, name: str) -> Path:
        from toolkit import formats

        return self.folder / formats.FORMATS[name].file


class _Exports:
    def __init__(self, pool: Any, models: Path, place: Path) -> None:
        self._pool, self._models, self._place = pool, models, place
        self._made: dict[str, Export] = {}

    def __getitem__(self, name: str) -> Export:
        """The export of `zoo_<name>` to every format, made when it is first asked for."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Export:
        from exporters.options import ExportOptions
        from exporters.sources import source as sources
        from toolkit import bundle, formats
        from toolkit.verification.verifier import Settings

        inputs = zoo.SEVERAL_INPUTS if name == "several" else ()
        source = f"zoo_{name}:build"
        resolved = sources.resolve(source, inputs=inputs, search=[str(self._models)])
        settings = Settings(count=COUNT, latency=False)
        request = bundle.Request(resolved, tuple(formats.FORMATS), self._place / name, ExportOptions(), settings)
        bundle.carry_out(self._pool, request)
        return Export(source, self._place / name, inputs)


@pytest.fixture(scope="session")
def exports(pool: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> _Exports:
    """Good exports by model: "torch", "keras", "tensorflow", "several". Copy before you damage one."""
    return _Exports(pool, models, tmp_path_factory.mktemp("exports"))


@pytest.fixture
def in_models(models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder of the tiny models, and find it unchanged afterwards."""
    monkeypatch.chdir(models)
    before = set(models.iterdir())
    yield models
    assert set(models.iterdir()) - before <= {models / "__pycache__"}

"""Workers are started once, models opened once, and every liar and right export goes through them."""

from __future__ import annotations

import functools

import pytest

from tests.verification import liars


@pytest.fixture(scope="session")
def pool():
    with liars.workers() as pool:
        yield pool


@pytest.fixture(scope="session")
def bench_of(pool, tmp_path_factory):
    """The bench of a model by its name."""
    return functools.cache(lambda kind: liars.opened(pool, kind, tmp_path_factory.mktemp(kind)))


@pytest.fixture(scope="session")
def dense_bench(bench_of):
    return bench_of("dense")


@pytest.fixture(scope="session")
def right_onnx(bench_of):
    """A model's correct ONNX export, written once."""
    return functools.cache(lambda kind: bench_of(kind).write("right.onnx", "onnx", liars.OLDER))

"""Workers are started once per model, and every liar and every right export of that model goes through them."""

from __future__ import annotations

import pytest

from tests.verification import liars


def _bench(kind):
    @pytest.fixture(scope="session", name=f"{kind}_bench")
    def bench(tmp_path_factory):
        with liars.opened(kind, tmp_path_factory.mktemp(kind)) as opened:
            yield opened

    return bench


dense_bench = _bench("dense")
convolutional_bench = _bench("convolutional")
plain_bench = _bench("plain")
recurrent_bench = _bench("recurrent")


@pytest.fixture(scope="session")
def bench_of(request):
    """The bench of a model by its name."""
    return lambda kind: request.getfixturevalue(f"{kind}_bench")


@pytest.fixture(scope="session")
def right_onnx(bench_of):
    """A model's correct ONNX export, written once."""
    written = {}

    def get(kind):
        if kind not in written:
            written[kind] = bench_of(kind).write("right.onnx", "onnx", liars.OLDER)
        return written[kind]

    return get

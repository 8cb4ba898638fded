"""Every liar is caught, and says why; no correct conversion is."""

from __future__ import annotations

import subprocess
import sys

import onnx
import pytest

from tests.verification import liars
from tests.verification.graphs import GRAPH_LIES
from tests.verification.liars import DYNAMO, OLDER, SCRIPT, TRACE
from tests.verification.variants import UNSEEN, VARIANTS
from toolkit.verification.report import Verdict
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

LYING_WORKER = f"{sys.executable} -P {liars.ROOT / 'tests/verification/lying_worker.py'}"
ALL_VARIANTS = {kind: names | UNSEEN.get(kind, {}) for kind, names in VARIANTS.items()}
UNSEEN_MARK = pytest.mark.xfail(strict=True, reason="smaller than what rounding the model's scalars may change")
VARIANT_ROWS = [pytest.param(kind, name, id=f"{kind}-{name}") for kind, names in VARIANTS.items() for name in names]
TWO_OUTPUTS = ("dense", "convolutional", "attention")
VARIANT_ROWS += [pytest.param(k, name, marks=UNSEEN_MARK) for k, names in UNSEEN.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), VARIANT_ROWS)
def test_a_lie_of_arithmetic_is_caught(bench_of, kind, name):
    bench = bench_of(kind)
    row = bench.verdict(bench.write("variant.pt", "torchscript", TRACE, variant=name))
    assert row.verdict is Verdict.FAIL
    assert any(words in row.reason for words in ALL_VARIANTS[kind][name].because), row.reason


@pytest.mark.parametrize("name", GRAPH_LIES)
@pytest.mark.parametrize("kind", TWO_OUTPUTS)
def test_a_lie_of_interface_or_value_is_caught(bench_of, right_onnx, kind, name):
    bench, lie = bench_of(kind), GRAPH_LIES[name]
    model = onnx.load(right_onnx(kind))
    lie.edit(model)
    path = bench.folder / "lie.onnx"
    onnx.save(model, path)
    row = bench.verdict(path)
    assert row.verdict is Verdict.FAIL
    assert any(words in row.reason for words in lie.because), row.reason


# Lie -> (device asked for, verdict, what the reason says). One process runs them all, and is replaced when it dies.
PROCESS_LIES = {
    "crash": ("cpu", Verdict.CRASHED, "onnxruntime crashed: SIGSEGV (run)"),
    "crash_at_open": ("cpu", Verdict.CRASHED, "onnxruntime crashed: SIGSEGV (open onnx)"),
    "exit_0": ("cpu", Verdict.CRASHED, "onnxruntime crashed: exit code 0"),
    "exit_at_open": ("cpu", Verdict.CRASHED, "onnxruntime crashed: exit code 0"),
    "hang": ("cpu", Verdict.CRASHED, "did not answer in time"),
    "hang_at_open": ("cpu", Verdict.CRASHED, "did not answer in time"),
    "eat_memory": ("cpu", Verdict.CRASHED, "grew past"),
    "garbage": ("cpu", Verdict.CRASHED, "instead of a message"),
    "raise": ("cpu", Verdict.FAIL, "ValueError: kernel not found"),
    "remember_first": ("cpu", Verdict.FAIL, "x the source's own"),
    "drift": ("cpu", Verdict.FAIL, "x the source's own"),
    "forget_output": ("cpu", Verdict.FAIL, "the output 'scores' was not returned"),
    "no_output": ("cpu", Verdict.FAIL, "the output 'scores' was not returned"),
    "extra_output": ("cpu", Verdict.FAIL, "the file returned an output that the source has not"),
    "lists": ("cpu", Verdict.FAIL, "dtype float64 where the source has float32"),
    "object_output": ("cpu", Verdict.FAIL, "dtype object where the source has float32"),
    "float16_output": ("cpu", Verdict.FAIL, "dtype float16 where the source has float32"),
    "claims_cuda": ("cpu", Verdict.NOT_RUN, "cpu: it ran on cuda:0"),
    "falls_back_to_cpu": ("cuda", Verdict.NOT_RUN, "cuda: it ran on cpu"),
    "claims_cuda_kindly": ("cuda", Verdict.NOT_RUN, "cuda: it says that it ran on cuda:0, but no CUDA library was"),
    "no_device": ("cuda", Verdict.NOT_RUN, "cuda: libcublasLt.so.13 missing"),
}


def _lying_pool(seconds):
    limits = Limits(seconds=seconds, memory=700_000_000, threads=1)
    return WorkerPool(limits=limits, commands={"onnxruntime": LYING_WORKER})


@pytest.fixture(scope="module")
def lying_pool():
    with _lying_pool(120) as pool:
        yield pool


@pytest.fixture(scope="module")
def impatient_pool():
    with _lying_pool(1) as pool:
        yield pool


@pytest.mark.parametrize("lie", PROCESS_LIES)
def test_a_lie_of_the_process_is_caught(dense_bench, right_onnx, lying_pool, impatient_pool, lie):
    device, verdict, because = PROCESS_LIES[lie]
    path = dense_bench.folder / f"{lie}.onnx"
    path.write_bytes(right_onnx("dense").read_bytes())
    pool = impatient_pool if lie.startswith("hang") else lying_pool
    row = dense_bench.verdict(path, pool, devices=(device,))
    assert (row.verdict, row.device) == (verdict, device)
    assert because in row.reason, row.reason


def test_the_lying_worker_passes_where_it_does_not_lie(dense_bench, right_onnx, lying_pool):
    row = dense_bench.verdict(right_onnx("dense"), lying_pool)
    assert row.verdict is Verdict.PASS


@pytest.mark.parametrize(("habit", "because"), [("garbage", "instead of a message"), ("exit", "exit code 3")])
def test_a_worker_that_never_greets_is_a_crash(dense_bench, right_onnx, habit, because):
    with WorkerPool(commands={"onnxruntime": f"{LYING_WORKER} {habit}"}) as pool:
        row = dense_bench.verdict(right_onnx("dense"), pool)
    assert row.verdict is Verdict.CRASHED
    assert because in row.reason


# Name -> how the file is made.
RIGHT_FILES = {
    "script.pt": lambda bench, onnx: bench.write("script.pt", "torchscript", SCRIPT),
    "trace.pt": lambda bench, onnx: bench.write("trace.pt", "torchscript", TRACE),
    "hub.pt": lambda bench, onnx: bench.rebuild("hub.pt", "torchscript", onnx),
    "older.onnx": lambda bench, onnx: onnx,
    "opset_17.onnx": lambda bench, onnx: bench.write("opset_17.onnx", "onnx", OLDER, opset=17),
    "opset_20.onnx": lambda bench, onnx: bench.write("opset_20.onnx", "onnx", OLDER, opset=20),
    "dynamo.onnx": lambda bench, onnx: bench.write("dynamo.onnx", "onnx", DYNAMO),
    "basic.onnx": lambda bench, onnx: liars.optimised(onnx, bench.folder / "basic.onnx", "ORT_ENABLE_BASIC"),
    "extended.onnx": lambda bench, onnx: liars.optimised(onnx, bench.folder / "extended.onnx", "ORT_ENABLE_EXTENDED"),
    "hub.h5": lambda bench, onnx: bench.rebuild("hub.h5", "hdf5", onnx),
    "hub": lambda bench, onnx: bench.rebuild("hub", "savedmodel", onnx),
}


KERAS = ("hub.h5", "hub")
RIGHT_ROWS = [(kind, name) for kind in VARIANTS for name in RIGHT_FILES if name not in KERAS]
RIGHT_ROWS.remove(("recurrent", "dynamo.onnx"))  # eight seconds of torch.export for no other code of ours
RIGHT_ROWS += [(kind, name) for kind in ("dense", "plain") for name in KERAS]
RIGHT_ROWS.append(("grouped", "hub"))  # TensorFlow adds up in an order of its own


@pytest.mark.parametrize(("kind", "name"), RIGHT_ROWS)
def test_a_correct_conversion_passes(bench_of, right_onnx, kind, name):
    bench = bench_of(kind)
    row = bench.verdict(RIGHT_FILES[name](bench, right_onnx(kind)))
    assert row.verdict is Verdict.PASS, row.reason
    assert all(lens.passed is not False for lens in row.lenses)


def test_the_page_is_that_of_the_figures():
    """docs/liars.md is made by benchmarks/liars.py from benchmarks/results/liars.json."""
    script = liars.ROOT / "benchmarks/liars.py"
    subprocess.run([sys.executable, script, "--check"], check=True, cwd=liars.ROOT)

"""Hand-made reports: one of each verdict, and one whose every text is an attack."""

from dataclasses import replace

import pytest

from toolkit.verification.report import (
    Coverage,
    Histogram,
    Latency,
    Lens,
    OutputComparison,
    Reference,
    Report,
    Row,
    Verdict,
)

ATTACK = (
    "<script>alert('1')</script>\x1b[31mred\x07 [bold]x[/bold] \u202egnp.exe | `b` & \"q\"\r\nnew\u2028line \udc80 "
    + "n" * 300
)


def output(ratio, largest, agree=512, identical=False, worst=None, name="probabilities"):
    errors = Histogram((0.1, 1.0, 10.0, 1e6), (300, 200, 12), "x the source's noise") if ratio else None
    return OutputComparison(
        name, "float32", largest, 3 * largest, 2.0, 0.9999, ratio, worst or ratio, 17, agree, 0, 512, identical, errors
    )


def latency(ratio, verdict):
    samples = tuple(4.0 * ratio + step / 100 for step in range(40))
    source = tuple(4.0 + step / 100 for step in range(40))
    return Latency(
        1, 1, 4.0 * ratio, 4.4 * ratio, 5.0 * ratio, 4.0, ratio, ratio - 0.02, ratio + 0.02, verdict,
        250 / ratio, 120.0, 40, "copies are inside", False, samples, source,
    )  # fmt: skip


AGREES = (Lens("float64", True, 3e-14, "agrees to 3.0e-14"), Lens("weights", None, None, "constants were folded"))
DIFFERS = (Lens("float64", False, 0.2, "in float64 the outputs differ by 2.0e-01"), Lens("weights", True, 1.0, "all"))

TORCHSCRIPT = Row(
    "torchscript", "out/model.pt", "cpu", Verdict.PASS, "identical", "torch 2.13", "cpu",
    (output(1.0, 0.0, identical=True),), latency=latency(1.01, "can't tell"),
)  # fmt: skip
ONNX = Row(
    "onnx", "out/model.onnx", "cpu", Verdict.PASS, "", "onnxruntime 1.31.1", "cpu",
    (output(0.93, 3.6e-7, worst=1.7),), AGREES, latency(0.43, "faster"),
)  # fmt: skip
NOT_RUN = Row(
    "onnx", "out/model.onnx", "cuda", Verdict.NOT_RUN, "cuda: libcublasLt.so.13 missing", "onnxruntime 1.31.1"
)
HDF5 = Row(
    "hdf5", "out/model.h5", "cpu", Verdict.FAIL, "starts at bn1: epsilon 1e-3 in the file, 1e-5 in the source",
    "keras 3.15.1", "cpu", (output(8.1e5, 0.41, 61, worst=1.5e6),), DIFFERS, latency(1.8, "slower"),
    "ab" * 32, ("the file names no outputs: they were compared by position",),
)  # fmt: skip
CRASHED = Row("savedmodel", "out/saved_model", "cpu", Verdict.CRASHED, "tensorflow died: SIGSEGV", "tensorflow 2.21.0")
INCONCLUSIVE = Row("hdf5", "b.h5", "cpu", Verdict.INCONCLUSIVE, "the source run twice differs", "keras 3.15.1", "cpu")
REFUSED = Row("torchscript", "in/x.pt", "cpu", Verdict.REFUSED, "aten::save could write files")
ERROR = Row("onnx", "x.onnx", "cpu", Verdict.ERROR, "no such file")


@pytest.fixture
def report():
    """Two passes, one failure, one row that did not run."""
    return Report(
        Reference("model.pt", "torch module", "torch 2.13 eager", "cpu, float32", "the source in float64", True, 0.973),
        (TORCHSCRIPT, ONNX, NOT_RUN, HDF5),
        Coverage(512, 256, 256, 7, (1, 2, 3, 7), {"real": 256, "zeros": 8}, ("batch sizes above 7",)),
        {"pass_ratio": 3.0, "fail_ratio": 10.0, "worst_ratio": 10.0},
        {"python": "3.11.7", "threads": "1"},
        {"run": 4.25},
        "out/worst.npz",
        "2026-01-02T03:04:05+00:00",
    )


@pytest.fixture
def passing(report):
    return replace(report, rows=(TORCHSCRIPT, ONNX), worst_inputs=None)


@pytest.fixture
def untimed(report):
    return replace(report, rows=tuple(replace(row, latency=None) for row in report.rows))


@pytest.fixture
def every_verdict(report):
    return replace(report, rows=(*report.rows, CRASHED, INCONCLUSIVE, REFUSED, ERROR))


@pytest.fixture
def empty(report):
    return replace(report, rows=())


@pytest.fixture
def hostile(every_verdict):
    """The attack in every place that holds text, of every verdict."""

    def attacked(row):
        return replace(
            row,
            format=ATTACK,
            path=ATTACK + row.path,
            device=ATTACK,
            reason=ATTACK,
            runtime=ATTACK,
            ran_on=ATTACK,
            outputs=tuple(replace(o, name=ATTACK, dtype=ATTACK) for o in row.outputs),
            lenses=tuple(replace(lens, name=ATTACK, detail=ATTACK) for lens in row.lenses),
            latency=row.latency and replace(row.latency, verdict=ATTACK, copies=ATTACK),
            sha256=ATTACK,
            notes=(ATTACK,),
        )

    return replace(
        every_verdict,
        reference=Reference(*[ATTACK] * 5, False),
        rows=tuple(attacked(row) for row in every_verdict.rows),
        coverage=replace(every_verdict.coverage, kinds={ATTACK: 1}, not_tried=(ATTACK,)),
        thresholds={**every_verdict.thresholds, ATTACK: 1.0},
        environment={ATTACK: ATTACK},
        seconds={ATTACK: 1.0},
        worst_inputs=ATTACK,
        created=ATTACK,
    )


def control_characters(text):
    """What may never reach a terminal, a page or an XML file out of a report, apart from our own line ends."""
    return {character for character in text if not character.isprintable() and character != "\n"}


@pytest.fixture
def raw():
    return control_characters

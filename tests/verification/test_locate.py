"""A wrong file's first wrong operator, and what is wrong with it: the liars are built with one known mistake each."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tests.verification import liars
from toolkit.verification.divergence import Divergence
from toolkit.verification.locate import match, numbers

GENERATOR = np.random.default_rng(5)

# model, mistake -> the operator where it starts, what is said of it, and whether mending it must make all right
KNOWN = {
    ("dense", "epsilon_1_01e_5"): ("LayerNormalization", "epsilon 1.01e-05 in the file, 1e-05 in the source", True),
    ("dense", "leaky_slope"): ("LeakyRelu", "alpha 0.0101 in the file, 0.01 in the source", True),
    ("dense", "relu_for_leaky"): ("Relu", "the source has LeakyRelu in its place", True),
    ("dense", "swapped_layers"): ("Gemm", "is the source's 'third.weight'", True),
    ("dense", "softmax_axis"): ("Softmax", "axis 0 in the file, -1 in the source", True),
    ("dense", "bias_dropped"): ("Gemm", "is zero everywhere", True),
    ("dense", "transposed_weight"): ("Gemm", "transposed by (1, 0)", True),
    ("dense", "fp16_weights"): ("Gemm", "rounded to 11 bits", True),
    ("dense", "int8_weights"): ("Gemm", "rounded to the steps of int8", True),
    ("dense", "flipped_bit_low"): ("Gemm", "differs in 1 of 192 entries", True),
    ("convolutional", "batch_statistics"): ("ReduceMean", "training mode", False),
    ("convolutional", "momentum"): ("BatchNormalization", "input_mean is 9 times the source's", True),
    ("convolutional", "ceil_mode"): ("MaxPool", "ceil_mode 0 in the file, 1 in the source", True),
    ("convolutional", "average_for_max"): ("AveragePool", "the source has MaxPool in its place", True),
    ("convolutional", "dilation_dropped"): ("Conv", "dilations [1, 1] in the file, [2, 2] in the source", True),
    ("convolutional", "kernel_flipped"): ("Conv", "W is the source's, reversed along axes 2, 3", True),
    ("convolutional", "flatten_order"): ("Gemm", "flattened with its axes in the order (0, 2, 3, 1)", False),
    ("convolutional", "align_corners"): ("Resize", "align_corners in the file, half_pixel in the source", True),
    ("recurrent", "gru_gate_order"): ("GRU", "3 parts along axis 1 in the order 1, 0, 2", True),
    ("recurrent", "forget_bias"): ("LSTM", "B differs in 8 of 64 entries", True),
    ("attention", "one_weight_off"): ("Gemm", "B differs in 1 of 96 entries", True),
    ("attention", "positions_dropped"): ("LayerNormalization", "the file leaves out the source's Add before it", False),
    ("attention", "norm_without_affine"): ("LayerNormalization", "Scale is 1 everywhere", True),
    ("attention", "scale_dropped"): ("ScaledDotProductAttention", "scale 1 in the file, 0.5 in the source", True),
    ("detection", "one_weight_off"): ("Conv", "W differs in 1 of 224 entries", True),
    ("detection", "epsilon_1_1e_5"): ("BatchNormalization", "epsilon 1.1e-05 in the file, 1e-05 in the source", True),
    ("detection", "leaky_slope"): ("LeakyRelu", "alpha 0.1001 in the file, 0.1 in the source", True),
    ("detection", "levels_exchanged"): ("Conv", "2 parts along axis 1 in the order 1, 0", False),
    ("detection", "grid_transposed"): ("Add", "B is the source's, reversed along axis 2", True),
}


@pytest.fixture(scope="module")
def found(bench_of):
    """What the search says of a model's mistake, both exported by the same way."""

    @functools.cache
    def search(kind: str, mistake: str) -> Divergence:
        bench = bench_of(kind)
        way = liars.DYNAMO if mistake == "batch_statistics" else liars.OLDER  # the older exporter knows no such thing
        params = {
            "source_path": str(bench.write("source.onnx", "onnx", liars.OLDER).absolute()),
            "file_path": str(bench.write(f"{mistake}.onnx", "onnx", way, variant=mistake).absolute()),
            "inputs": dict(next(b for b in bench.subject.plan.batches if b.size > 1 and b.kind == "normal").inputs),
            "source_outputs": {},
            "file_outputs": {},
        }
        task = "toolkit.verification.locate.tasks:search"
        return Divergence.from_json(bench.pool.worker("torch", "cpu").call(task, params))

    return search


@pytest.mark.parametrize(("kind", "mistake"), KNOWN)
def test_the_operator_and_the_cause(found, kind, mistake):
    operator, words, mended = KNOWN[kind, mistake]
    divergence = found(kind, mistake)
    assert divergence.operator == operator
    assert words in divergence.cause
    assert divergence.proved is mended


def test_several_places_with_one_mistake_are_all_named(found):
    assert len(found("dense", "fp16_weights").others) == 3
    assert "(and 3 more)" in found("dense", "fp16_weights").words
    assert len(found("dense", "leaky_slope").others) == 1


def test_the_way_leads_from_right_to_wrong(found):
    path = found("convolutional", "ceil_mode").path
    first = next(index for index, step in enumerate(path) if step.first)
    assert path[first].operator == "MaxPool"
    assert first >= 2
    assert all(step.error < 1 for step in path[:first])
    assert path[first].error > 1000


def test_a_right_file_has_no_place(found, bench_of):
    bench = bench_of("dense")
    right = str(bench.write("source.onnx", "onnx", liars.OLDER).absolute())
    params = {"source_path": right, "file_path": right, "inputs": dict(bench.subject.plan.batches[0].inputs),
              "source_outputs": {}, "file_outputs": {}}  # fmt: skip
    answer = bench.pool.worker("torch", "cpu").call("toolkit.verification.locate.tasks:search", params)
    assert answer["operator"] is None
    assert answer["same_graph"] is True


def test_a_failed_row_says_where_in_a_format_that_is_no_onnx(bench_of):
    """TorchScript that returns a dict, which ONNX does not have; the row's reason names the operator all the same."""
    bench = bench_of("convolutional")
    row = bench.verdict(bench.write("epsilon.pt", "torchscript", liars.SCRIPT, variant="epsilon_1e_3"), locate=True)
    assert row.divergence.operator == "BatchNormalization"
    assert row.reason.endswith("epsilon 0.001 in the file, 1e-05 in the source")
    assert row.divergence.proved
    assert row.divergence.source_line.rpartition(":")[0].endswith("tests/verification/models.py")


def random(*shape):
    return GENERATOR.standard_normal(shape)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a * 0.5, "is 0.5 times the source's"),
        (lambda a: a + 2.0, "is the source's, 2 higher"),
        (lambda a: a * 0, "is zero everywhere"),
        (lambda a: a[::-1], "is the source's, reversed along axis 0"),
        (lambda a: a[[1, 0, 2, 3]], "has the source's 4 parts along axis 0 in the order 1, 0, 2, 3"),
        (lambda a: a.T.reshape(4, 6), "is the source's, transposed by (1, 0)"),
        (lambda a: GENERATOR.permutation(a.reshape(-1)).reshape(4, 6), "holds the source's numbers in another order"),
        (lambda a: a.astype(np.float16), "is the source's, rounded to 11 bits, as in float16 and TF32"),
        (lambda a: np.clip(a, -0.5, 0.5), "is the source's, cut off at -0.5 and 0.5"),
        (lambda a: a[:, :5], "has shape [4, 5], [4, 6] in the source"),
        (np.sin, "differs by"),
    ],
)
def test_what_was_done_to_numbers(change, words):
    theirs = random(4, 6).astype(np.float32)
    assert numbers.difference(np.asarray(change(theirs)), theirs).startswith(words)


def test_equal_numbers_have_no_difference():
    theirs = random(4, 6)
    assert numbers.difference(theirs.copy(), theirs) is None
    assert numbers.order(theirs.copy(), theirs) is None


def test_numbers_are_matched_whatever_their_shape_and_order():
    a, b = random(4, 6), random(4, 6)
    matches = match.match({"x": a.T.reshape(2, 12), "y": b + 1e-9}, {"a": a, "b": b, "shape": np.arange(3.0)})
    assert (matches.nearest["x"], matches.nearest["y"]) == ("a", "b")
    assert matches.matched("x", 1e-12)
    assert matches.matched("y", 1e-6)
    assert not matches.matched("y", 1e-12)
    assert not matches.matched("z", 1.0)


def test_constants_and_shapes_prove_nothing():
    assert not match.tells(np.zeros(100))
    assert not match.tells(np.array([1.0, 2.0]))
    assert match.tells(random(10))

"""Keras and TensorFlow models as ONNX: every layer that tf2onnx gets wrong, run at several batch sizes.

One TensorFlow worker builds and exports, one ONNX Runtime worker runs: they share no process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from exporters.options import ExportOptions
from exporters.sources import source as sources
from tests.export.keras_to_onnx_models import MODELS
from toolkit import bundle
from toolkit.errors import ExportFailed
from toolkit.verification.plan import Batch
from toolkit.verification.sides import open_file, open_source
from toolkit.verification.verifier import Settings

Array = np.ndarray[Any, Any]

BATCHES = (1, 2, 3, 7)
OLD = 15  # an opset before ScatterND's sums, and before ReduceL2's axes as an input
OPSETS = {"older": OLD, "oldest": 12}  # in which some are written
CLOSE = 1e-5  # relative to the largest output: some dozens of roundings of float32, a hundredth of any mistake

REFUSED = {"unknown", "complex_root"}
MODULES = REFUSED | {
    "module", "complex", "elementary", "joined", "spectrum", "returned", "table", "older", "older_sum", "oldest",
    "systems", "pictures", "statistics",
}  # fmt: skip
NAMES = sorted(set(re.findall(r"^(?:def )?build_(\w+)", MODELS, re.MULTILINE)) - REFUSED)


@dataclass(frozen=True)
class Written:
    """An exported file, its source's answers by batch size, and its own."""

    path: Path
    pairs: tuple[tuple[dict[str, Array], dict[str, Array]], ...]

    @property
    def graph(self) -> onnx.GraphProto:
        return onnx.load(self.path).graph

    @property
    def operators(self) -> set[str]:
        return {node.op_type for node in self.graph.node}


class Exporter:
    """Opens sources in the TensorFlow worker, writes them, and runs both sides."""

    def __init__(self, pool: Any, folder: Path) -> None:
        self._pool, self.folder = pool, folder
        self._written: dict[str, Written] = {}

    def __getitem__(self, name: str) -> Written:
        if name not in self._written:
            self._written[name] = self._export(name)
        return self._written[name]

    def write(self, name: str, opset: int = ExportOptions().opset) -> tuple[Any, Path, Mapping[str, Any]]:
        framework = "tensorflow" if name in MODULES else "keras"
        source = sources.resolve(f"onnx_zoo:build_{name}", framework=framework, search=[str(self.folder)])
        side = open_source(self._pool, source)
        path = self.folder / f"{name}.onnx"
        params = {"handle": side.handle, "to": "onnx", "strategy": "tf2onnx", "path": str(path)}
        options = ExportOptions(opset=opset).to_json()
        return side, path, side.worker.call("exporters.tasks:write", {**params, "options": options})

    def _export(self, name: str) -> Written:
        side, path, result = self.write(name, OPSETS.get(name, ExportOptions().opset))
        if not result["written"]:
            raise ExportFailed(result["why"])
        batches = [_batch(side.signature, size) for size in BATCHES]
        theirs = open_file(self._pool, path, "cpu", side.signature)
        pairs = tuple(zip(side.run(batches), theirs.run(batches), strict=True))
        side.close()
        theirs.close()
        return Written(path, pairs)


def _batch(signature: Any, size: int) -> Batch:
    random = np.random.default_rng(size)
    arrays = {}
    for spec in signature.inputs:
        shape = [size if dim == signature.batch else 4 + size if isinstance(dim, str) else dim for dim in spec.shape]
        whole = spec.dtype.startswith("int")
        arrays[spec.name] = (random.integers(0, 3, shape) if whole else random.normal(size=shape)).astype(spec.dtype)
    return Batch("example", arrays, size)


@pytest.fixture(scope="module")
def exported(pool: Any, tmp_path_factory: pytest.TempPathFactory) -> Exporter:
    folder = tmp_path_factory.mktemp("onnx_zoo")
    (folder / "onnx_zoo.py").write_text(MODELS)
    return Exporter(pool, folder)


@pytest.mark.parametrize("name", NAMES)
def test_predicts_what_its_source_predicts_at_every_batch_size(exported: Exporter, name: str) -> None:
    for ours, theirs in exported[name].pairs:
        for output, expected in ours.items():
            assert theirs[output].shape == expected.shape
            np.testing.assert_allclose(theirs[output], expected, rtol=0, atol=CLOSE * np.abs(expected).max())


def test_sums_that_an_older_opset_cannot_say_are_refused(exported: Exporter) -> None:
    side, _, result = exported.write("older_sum", OLD)
    side.close()
    assert not result["written"]
    assert "ScatterNd') adds updates of one place, which opset 15 cannot" in result["why"]


def test_complex_numbers_that_have_no_form_are_refused(exported: Exporter) -> None:
    side, _, result = exported.write("complex_root")
    side.close()
    assert not result["written"]
    assert "Sqrt') of complex numbers has no form in real numbers" in result["why"]


def test_every_unknown_operator_is_listed_at_once(exported: Exporter) -> None:
    side, _, result = exported.write("unknown")
    side.close()
    assert not result["written"]
    assert "ONNX has no form of these TensorFlow operators: " in result["why"]
    assert "Digamma (in " in result["why"]
    assert "Lgamma (in " in result["why"]


@pytest.mark.parametrize("name", ["conv2d_groups", "conv1d_groups", "conv3d_groups", "groups_over_time"])
def test_a_grouped_convolution_keeps_its_groups(exported: Exporter, name: str) -> None:
    convolutions = [node for node in exported[name].graph.node if node.op_type == "Conv"]
    assert [item.i for node in convolutions for item in node.attribute if item.name == "group"] == [2] * len(
        convolutions
    )
    assert convolutions


def test_a_longer_output_is_padded_as_onnx_has_it(exported: Exporter) -> None:
    (node,) = (node for node in exported["transposed_valid"].graph.node if node.op_type == "ConvTranspose")
    attributes = {item.name: list(item.ints) for item in node.attribute}
    assert attributes["pads"] == [0, 0, 0, 0]
    assert attributes["output_padding"] == [1, 1]


def test_inputs_are_those_of_the_model(exported: Exporter) -> None:
    for name in ("normalization", "subclassed", "module"):
        assert len(exported[name].graph.input) == 1


def test_weights_bear_the_names_of_the_variables(exported: Exporter) -> None:
    names = {re.sub(r"_\d+/", "/", item.name.partition("/")[2]) for item in exported["image_block"].graph.initializer}
    normalization = {f"batch_normalization/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    kernels = {f"{layer}/{name}" for layer in ("conv2d", "depthwise_conv2d") for name in ("kernel", "bias")}
    assert normalization | kernels <= names
    assert {"kernel", "bias"} <= {name.rpartition("/")[2] for name in names if name.startswith("dense")}


def test_a_batch_normalization_is_one_operator_without_transpositions(exported: Exporter) -> None:
    operators = [node.op_type for node in exported["batch_normalization"].graph.node]
    assert operators.count("BatchNormalization") == 5
    assert operators.count("Transpose") == 2  # one at each end: images are channels-last in Keras
    assert not {"Sqrt", "Reciprocal"} & set(operators)


def test_a_padded_maximum_is_out_of_reach_of_pad_fusion(exported: Exporter) -> None:
    """That it predicts the same is asked of every model above; here, that the fusion would find what it looks for."""
    assert {"Pad", "MaxPool"} <= exported["padded_maximum"].operators


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lstm", "LSTM"), ("lstm_backwards", "LSTM"), ("masked_lstm_sequence", "LSTM"), ("first_states", "LSTM"),
        ("gru", "GRU"), ("gru_reset_before", "GRU"), ("gru_backwards", "GRU"), ("gru_dynamic", "GRU"),
        ("gru_hard", "GRU"), ("gru_wide", "GRU"), ("masked_gru", "GRU"), ("bidirectional", "GRU"),
        ("first_states", "GRU"), ("simple_rnn", "RNN"), ("masked_simple", "RNN"), ("lstm_unrolled", "LSTM"),
        ("gru_unrolled", "GRU"), ("simple_rnn_unrolled", "RNN"),
    ],
)  # fmt: skip
def test_a_recurrent_layer_is_one_operator(exported: Exporter, name: str, kind: str) -> None:
    assert kind in exported[name].operators
    assert not {"Loop", "Sigmoid", "Tanh"} & exported[name].operators


def test_a_cell_that_onnx_does_not_have_stays_a_loop(exported: Exporter) -> None:
    assert "Loop" in exported["lstm_gelu"].operators


def test_a_convolutional_block_is_transposed_at_its_entrance_alone(exported: Exporter) -> None:
    operators = [node.op_type for node in exported["excited"].graph.node]
    assert operators.count("Transpose") == 1


def test_only_operator_sets_that_are_used_are_declared(exported: Exporter) -> None:
    model = onnx.load(exported["activations"].path)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    assert model.ir_version <= 10


def test_a_loop_has_a_truth_in_float64(exported: Exporter, pool: Any, tmp_path: Path) -> None:
    """TensorFlow refuses two functions of one name: the float64 body of a loop beside the one that was exported."""
    source = sources.resolve("onnx_zoo:build_gru", framework="keras", search=[str(exported.folder)])
    settings = Settings(count=32, latency=False)
    made = bundle.carry_out(pool, bundle.Request(source, ("onnx",), tmp_path / "out", ExportOptions(), settings))
    assert made.report.passed

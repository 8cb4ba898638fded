"""Quantised ONNX files as sources: a step taken otherwise at a middle is noise, a step of another size is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from exporters.options import ExportOptions
from exporters.sources import source as sources
from toolkit.verification import steps
from toolkit.verification.report import Verdict
from toolkit.verification.sides import open_source
from toolkit.verification.verifier import Settings, compare_files, subject_of

LAYERS = 16
SIZE = 192


def _graph(scale: float) -> onnx.ModelProto:
    """Dense layers, after each of which everything is rounded to steps, as a static quantiser writes them."""
    generator = np.random.default_rng(0)
    body, x = [], "x"
    for layer in range(LAYERS):
        body.append(
            f"q{layer} = QuantizeLinear ({x}, s{layer}, zero)  d{layer} = DequantizeLinear (q{layer}, s{layer}, zero)"
            f"  w{layer} = DequantizeLinear (k{layer}, t, zero)  m{layer} = MatMul (d{layer}, w{layer})"
        )
        x = f"m{layer}"
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[batch,192] x) => (float[batch,192] y) {'
    model = parser.parse_model(f"{text} {' '.join(body)} y = Identity ({x}) }}")
    weights = {f"k{i}": generator.integers(-127, 128, (SIZE, SIZE)).astype(np.int8) for i in range(LAYERS)}
    scales = {f"s{i}": np.array(scale if i == LAYERS - 1 else 0.04, np.float32) for i in range(LAYERS)}
    others = {"t": np.array(0.00105, np.float32), "zero": np.array(0, np.int8)}
    for name, array in {**weights, **scales, **others}.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.checker.check_model(model)
    return model


@pytest.fixture(scope="module")
def quantised(pool, tmp_path_factory):
    """The folder of a quantised source, and it as the subject of a verification."""
    folder: Path = tmp_path_factory.mktemp("steps")
    onnx.save(_graph(0.04), folder / "source.onnx")
    resolved = sources.resolve(str(folder / "source.onnx"))
    settings = Settings(count=96, latency=False)
    return folder, subject_of(pool, open_source(pool, resolved), resolved, None, settings), settings


def test_another_step_at_a_middle_is_noise(pool, quantised):
    folder, subject, settings = quantised
    params = {
        "onnx_path": str(folder / "source.onnx"), "to": "torchscript", "path": str(folder / "right.pt"),
        "signature": subject.signature.to_json(), "contract": subject.side.contract.to_json(),
        "options": ExportOptions().to_json(),
    }  # fmt: skip
    pool.worker("torch").call("exporters.tasks:write_from_onnx", params)
    (row,) = compare_files(pool, subject, [folder / "right.pt"], settings).rows
    assert row.verdict is Verdict.PASS, row.reason
    assert subject.answers.in_steps
    assert subject.answers.condition(subject.signature.outputs[0]).min() > 3e-6  # far above float32's own rounding
    assert any(note.startswith("the source rounds to steps") for note in row.notes)


def test_steps_of_another_size_are_none(pool, quantised):
    folder, subject, settings = quantised
    onnx.save(_graph(0.0404), folder / "wrong.onnx")
    (row,) = compare_files(pool, subject, [folder / "wrong.onnx"], settings).rows
    assert row.verdict is Verdict.FAIL


def test_only_quantised_graphs_round():
    assert steps.rounds(_graph(0.04).graph)
    plain = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[n] x) => (float[n] y) { y = Relu (x) }'
    )
    assert not steps.rounds(plain.graph)

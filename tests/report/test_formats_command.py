import json

import pytest
from click.testing import CliRunner

from toolkit import operators
from toolkit.cli.formats import OPENED_BY, command, operator_lines
from toolkit.formats import FORMATS
from toolkit.operators import Knowledge


def test_the_table():
    result = CliRunner().invoke(command, [])
    assert result.output.splitlines() == [
        " format       in a bundle   runtime      devices   opened with nothing of ours by",
        " onnx         model.onnx    onnxruntime  cpu cuda  onnxruntime.InferenceSession('model.onnx')",
        " torchscript  model.pt      torch        cpu cuda  torch.jit.load('model.pt')",
        " savedmodel   saved_model   tensorflow   cpu cuda  tensorflow.saved_model.load('saved_model')",
        " hdf5         model.h5      tensorflow   cpu cuda  keras.models.load_model('model.h5')",
        " keras        model.keras   tensorflow   cpu cuda  keras.models.load_model('model.keras')",
        " tflite       model.tflite  tensorflow   cpu       ai_edge_litert.interpreter.Interpreter('model.tflite')",
    ]


def test_every_format_says_what_opens_it():
    assert set(OPENED_BY) == set(FORMATS)


def test_json_holds_the_same():
    data = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert [form["name"] for form in data["formats"]] == list(FORMATS)
    assert "operators" not in data


def test_operators_of_both_targets():
    known = [Knowledge("PyTorch", 28, {"Add": (1, 7), "Unique": (11,)}), Knowledge("Keras", 27, {"Add": (7,)})]
    assert list(operator_lines(known)) == [
        " operator  PyTorch  Keras",
        " Add       1 7      7",
        " Unique    11       -",
        " PyTorch: 2 operators, opsets up to 28",
        " Keras: 1 operators, opsets up to 27",
    ]


def test_a_target_that_is_not_installed_says_so():
    known = [Knowledge("Keras", 0, {}, "the package 'tensorflow' is not installed")]
    assert list(operator_lines(known)) == [" operator  Keras", " Keras: the package 'tensorflow' is not installed"]


def test_ops_are_printed_after_the_formats(monkeypatch):
    monkeypatch.setattr(operators, "known", lambda: [Knowledge("PyTorch", 28, {"Add": (1,)})])
    plain = CliRunner().invoke(command, ["--ops"])
    assert plain.output.splitlines()[-2:] == [" Add       1", " PyTorch: 1 operators, opsets up to 28"]
    data = json.loads(CliRunner().invoke(command, ["--ops", "--json"]).output)
    assert data["operators"] == [{"target": "PyTorch", "ceiling": 28, "missing": None, "operators": {"Add": [1]}}]


def test_the_tables_themselves_through_a_worker():
    pytest.importorskip("torch")
    (torch_importer, _) = operators.IMPORTERS
    (known,) = operators.known((torch_importer,))
    assert known.missing is None
    assert known.operators["Relu"]
    assert known.ceiling >= 17

"""The file of a sweep: what it may hold, and what every mistake in it is told as, with its line and its key."""

from __future__ import annotations

import pytest

from toolkit.cli.sweep import keys
from toolkit.errors import BadInput
from toolkit.sweep import fingerprint
from toolkit.sweep.entries import read
from toolkit.sweep.places import line_of

GOOD = """
[defaults]
to = ["onnx"]
count = 40

[models.small]
source = "nets:small"
input = ["x:float32[batch,4]"]

[models."with.dots"]
source = "torchvision:resnet18"
to = "onnx,torchscript"
count = 64
latency = true
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "nets.py").write_text("import torch\nimport layers\n")
    (tmp_path / "layers.py").write_text("WIDTH = 8\n")

    def written(text):
        path = tmp_path / "models.toml"
        path.write_text(text)
        return path

    return written


def test_models_have_the_options_of_export(write):
    small, other = read(write(GOOD), keys())
    assert (small.name, small.source, small.source_path) == ("small", "nets:small", None)
    assert small.arguments["to"] == ("onnx",)
    assert small.arguments["inputs"] == ("x:float32[batch,4]",)
    assert (small.arguments["count"], other.arguments["count"]) == (40, 64)
    assert (small.arguments["latency"], other.arguments["latency"]) == (False, True)
    assert other.name == "with.dots"
    assert other.arguments["to"] == ("onnx,torchscript",)


def test_every_argument_is_one_of_export(write):
    import inspect

    from toolkit import bundle

    (small, _) = read(write(GOOD), keys())
    assert set(small.arguments) <= set(inspect.signature(bundle.export).parameters)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[models.a\n", "models.toml: it is not TOML (Expected ']' at the end of a table declaration"),
        ("", "models.toml: it names no models"),
        ("[model.a]\nsource = 'x'\n", "models.toml, line 1, model: there is no table 'model'"),
        ("models = 3\n", "models.toml, line 1, models: 'models' is not a table"),
        ("[models.a]\nsource = 'n:b'\n", "models.toml, line 1, models.a.to: it does not say what to export to"),
        ("[models.a]\nto = ['onnx']\n", "models.toml, line 1, models.a.source: it has no source"),
        ("\n[models.a]\nsource = 'n:b'\nopsett = 3\n", ".toml, line 4, models.a.opsett: there is no key 'opsett'"),
        ("[models.a]\nsource = 'n:b'\nquiet = true\n", "line 3, models.a.quiet: there is no key 'quiet'"),
        ("[defaults]\ncount = 'many'\n[models.a]\n", "line 2, defaults.count: 'many' is not a valid integer"),
        ("[models.a]\nsorce = 'n:b'\n", "line 2, models.a.sorce: there is no key 'sorce'"),
        ("[models.a]\nsource = 'n:b'\ncount = 3\n", "line 3, models.a.count: 3 is not in the range x>=32"),
        ("[models.a]\nsource = 'n:b'\ncount = [40]\n", "line 3, models.a.count: it takes one value, not a list"),
        ("[models.a]\nsource = 'n:b'\nlatency = 1\n", "line 3, models.a.latency: it is true or false, not 1"),
        ("[models.a]\nsource = 'n:b'\nto = true\n", "line 3, models.a.to: True is no value for it"),
        ("[models.a]\nto = ['onnx']\nsource = 'gone.onnx'\n", "line 3, models.a.source: there is no 'gone.onnx'"),
        ("[models]\na = {source = 'n:b', to = 'onnx', data = 'no.npz'}\n", "line 2, models.a.data: there is no 'no.np"),
        ("[models.'../a']\nsource = 'n:b'\n", "models.../a: '../a' cannot be the name of a folder"),
        ("[models.'sweep.md']\nsource = 'n:b'\n", "'sweep.md' cannot be the name of a folder"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_line_and_key(write, text, words):
    with pytest.raises(BadInput) as raised:
        read(write(text), keys(), ("sweep.md",))
    assert words in str(raised.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(BadInput, match="there is no such file"):
        read(tmp_path / "models.toml", keys())


def test_lines_of_keys_in_every_spelling():
    text = "[a]\n\"b c\" = 1\n[a.d] # words\n'e'.f = 2\n[g]\nh = {i = 1}\n"
    paths = (["a", "b c"], ["a", "d", "e", "f"], ["g", "h", "i"], ["a", "d"], ["z"])
    assert [line_of(text, path) for path in paths] == [2, 4, 6, 3, None]


def test_the_fingerprint_follows_what_matters_and_nothing_else(write, tmp_path):
    def taken():
        return fingerprint.of(read(write(GOOD), keys())[0], {})

    first = taken()
    assert taken() == first
    (tmp_path / "unrelated.py").write_text("x = 1\n")
    assert taken() == first
    (tmp_path / "layers.py").write_text("WIDTH = 16\n")
    second = taken()
    assert second != first
    changed = read(write(GOOD.replace("count = 40", "count = 41")), keys())[0]
    assert fingerprint.of(changed, {}) != second
    assert fingerprint.of(read(write(GOOD), keys())[0], {"torch": "other/python"}) != second

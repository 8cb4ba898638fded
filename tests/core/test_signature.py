"""Names, dtypes, shapes and nesting: what `--input` accepts, and that nothing is lost on the way to JSON and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import BadInput
from toolkit.signature import DTYPES, Signature, TensorSpec, flatten, identifiers, leaves, parse_input, unflatten

HINT = "\n  Write NAME:DTYPE[DIM,...], for instance image:float32[batch,3,224,224]."
KNOWN = "float16, bfloat16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64, bool, string"


@pytest.mark.parametrize(
    ("text", "spec", "limits"),
    [
        ("x:float32[batch,4]", TensorSpec("x", "float32", ("batch", 4)), {}),
        (" x : int64 [ batch , time ] ", TensorSpec("x", "int64", ("batch", "time")), {}),
        ("x:bfloat16[]", TensorSpec("x", "bfloat16", ()), {}),
        ("x:bool[1]", TensorSpec("x", "bool", (1,)), {}),
        ("enc/in.0:float32[batch,time<=512]", TensorSpec("enc/in.0", "float32", ("batch", "time")), {"time": 512}),
        ("a:float32[n,n<=8]", TensorSpec("a", "float32", ("n", "n")), {"n": 8}),
        ("a:float32[h%16,w%8<=64]", TensorSpec("a", "float32", ("h", "w")), {"w": 64}),
    ],
)
def test_inputs_that_parse(text, spec, limits):
    assert parse_input(text)[:2] == (spec, limits)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has another form"),
        ("x", "it has another form"),
        ("x:float32", "it has another form"),
        ("x:float32[batch,4", "it has another form"),
        (":float32[4]", "it has another form"),
        ("x:Float32[4]", "it has another form"),
        ("x:y:float32[4]", "it has another form"),
        ("x:float32[4]\n", "it has another form"),
        ("x:float32[[4]]", "it has another form"),
        ("x:float32[-1,4]", "'-1' is neither a size nor a name"),
        ("x:float32[0]", "'0' is neither a size nor a name"),
        ("x:float32[4.5]", "'4.5' is neither a size nor a name"),
        ("x:float32[batch,,4]", "'' is neither a size nor a name"),
        ("x:float32[batch,]", "'' is neither a size nor a name"),
        ("x:float32[²]", "'²' is neither a size nor a name"),
        ("x:float32[٣]", "'٣' is neither a size nor a name"),
        ("x:float32[2d]", "'2d' is neither a size nor a name"),
        ("x:float32[t<=0]", "'t<=0' is neither a size nor a name"),
        ("x:float32[t<=many]", "'t<=many' is neither a size nor a name"),
        ("x:float32[99999999999999999999]", "'99999999999999999999' is neither a size nor a name"),
    ],
)
def test_inputs_that_do_not_parse(text, why):
    with pytest.raises(BadInput) as caught:
        parse_input(text)
    assert str(caught.value) == f"BadInput: --input: '{text}' does not describe an input: {why}{HINT}"


def test_unknown_dtype():
    with pytest.raises(BadInput) as caught:
        parse_input("x:float23[4]")
    assert str(caught.value) == (f"BadInput: input or output 'x': dtype 'float23' is not known\n  Use one of {KNOWN}.")


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_one_name_for_two_tensors(side):
    twice = (TensorSpec("x", "float32", (1,)), TensorSpec("x", "float32", (2,)))
    with pytest.raises(BadInput) as caught:
        Signature(**{"inputs": (), "outputs": (), side: twice})
    assert str(caught.value) == f"BadInput: {side}: the name 'x' stands for more than one tensor"


def test_default_nesting():
    x, y = TensorSpec("x", "float32", ("batch", 4)), TensorSpec("y", "int64", ("batch",))
    assert Signature((x,), (y,)).input_structure == ["x"]
    assert Signature((x,), (y,)).output_structure == "y"
    assert Signature((x, y), (x, y)).output_structure == ["x", "y"]
    assert Signature((x,), ()).output_structure is None
    assert Signature((x, y), ()).symbols == ("batch",)
    assert x.with_sizes({"batch": 3}) == (3, 4)
    assert x.dynamic_dims == {0: "batch"}


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
dims = st.one_of(st.integers(1, 2**40), st.sampled_from(["batch", "time", "h", "w"]))
specs = st.builds(TensorSpec, names, st.sampled_from(DTYPES), st.lists(dims, max_size=4).map(tuple))
several = st.lists(specs, max_size=4, unique_by=lambda spec: spec.name).map(tuple)
limited = st.dictionaries(st.sampled_from(["batch", "time"]), st.integers(1, 10**6)).map(
    lambda found: tuple(sorted(found.items()))
)


@given(several, several, limited)
def test_json_and_back(inputs, outputs, limits):
    signature = Signature(inputs, outputs, limits=limits)
    text = json.dumps(signature.to_json(), allow_nan=False)
    assert Signature.from_json(json.loads(text)) == signature


@given(specs)
def test_the_text_of_an_input_parses_back(spec):
    usual = TensorSpec("x.0/y", spec.dtype, spec.shape)
    assert parse_input(str(usual)) == (usual, {}, {})


class Leaf:
    """A tensor's stand-in: equal to itself alone."""


nested = st.recursive(
    st.one_of(st.builds(Leaf), st.none()),
    lambda child: st.one_of(
        st.lists(child, max_size=3), st.lists(child, max_size=3).map(tuple),
        st.dictionaries(st.text("abc", min_size=1, max_size=3), child, max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip


def as_returned(value):
    """Lists come back as tuples, all else as it was."""
    if isinstance(value, list | tuple):
        return tuple(as_returned(item) for item in value)
    return {key: as_returned(item) for key, item in value.items()} if isinstance(value, dict) else value


@given(nested)
def test_flatten_and_back(value):
    structure, flat = flatten(value, "output", is_leaf=lambda item: isinstance(item, Leaf))
    assert unflatten(structure, flat) == as_returned(value)
    assert list(leaves(structure)) == list(flat)
    json.dumps(structure)


def is_number(value):
    return isinstance(value, int)


@pytest.mark.parametrize(
    ("value", "structure"),
    [
        (1, "output"),
        ((1, 2), ["output_0", "output_1"]),
        ([1, None], ["output_0", None]),
        ({"a": 1, "b": [2, {"deep": 3}]}, {"a": "a", "b": ["b.0", {"deep": "b.1.deep"}]}),
        ({1: 1}, {"1": "1"}),
        ((), []),
        (None, None),
    ],
)  # fmt: skip
def test_names_of_leaves(value, structure):
    assert flatten(value, "output", is_leaf=is_number)[0] == structure


def test_two_values_of_one_name_are_refused():
    with pytest.raises(BadInput) as caught:
        flatten({"a": [1], "a.0": 2}, "output", is_leaf=is_number)
    assert str(caught.value) == "BadInput: output: the name 'a.0' stands for two values"


def test_a_value_that_models_do_not_pass():
    with pytest.raises(BadInput) as caught:
        flatten({"a": {1, 2}}, "output", is_leaf=is_number)
    assert str(caught.value) == "BadInput: 'a' is a set; models pass tensors, lists, tuples and dicts of them"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("x", "y_1"), ("x", "y_1")),
        (("x.left", "x_left"), ("x_left_1", "x_left")),
        (("a/b", "a b"), ("a_b", "a_b_1")),
        (("class", "_x", "1"), ("class_", "input__x", "input_1")),
        (("größe",), ("gr__e",)),
    ],
)
def test_names_as_identifiers(names, found):
    assert tuple(identifiers(names)[name] for name in names) == found

"""Damaged ONNX models: refused with one clear message, or written; never a stack trace, a hang or a crash."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters import onnx_to_torch
from exporters.graph import known, read
from tests.limits import HANG
from toolkit.errors import InvalidGraph, UnsupportedOperator

FUZZ = Path(__file__).parent / "fuzz.py"
SLOWEST = 20.0  # seconds that one model may take, on a busy machine


def test_damaged_models_are_refused_or_written():
    command = [sys.executable, str(FUZZ), "7", "160"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 160
    assert [(row["name"], row["message"]) for row in rows if row["what"] == "raised"] == []
    assert max(row["seconds"] for row in rows) < SLOWEST
    assert {row["what"] for row in rows} == {"written", "refused"}
    assert "Traceback" not in done.stderr


def model(nodes: str, *, opsets: dict[str, int] | None = None) -> onnx.ModelProto:
    """A model of `x -> y` with a weight `w` (4, 4); nodes as "name=Operator:in,in->out domain"."""
    made = []
    for text in shlex.split(nodes):
        name, _, rest = text.partition("=")
        operator, _, values = rest.partition(":")
        inputs, _, outputs = values.partition("->")
        domain, _, operator = operator.rpartition("/")
        made.append(helper.make_node(operator, inputs.split(","), outputs.split(","), name=name, domain=domain))
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy"]
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    graph = helper.make_graph(made, "g", info[:1], info[1:], [weight])
    imports = [helper.make_opsetid(*entry) for entry in (opsets or {"": 18}).items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


ACME = {"": 18, "com.acme": 1}
AGAIN = "\n  Export it again."
CHECKER = "\n  ONNX's own checker refuses it."
REFUSED = {
    "a cycle": (model("first=Add:x,b->a second=Relu:a->b last=Relu:b->y"),
                "InvalidGraph: m.onnx, node 'first': it waits for its own result: nodes of the graph read each other's "
                "in a circle" + AGAIN),
    "a missing input": (model("sum=Add:x,nowhere->y"),
                        "InvalidGraph: m.onnx: Nodes in a graph must be topologically sorted, however input 'nowhere' "
                        "of node: name: sum OpType: Add is not output of any previous nodes" + CHECKER),
    "a name given twice": (model("one=Relu:x->y two=Neg:x->y"),
                           "InvalidGraph: m.onnx: Graph must be in single static assignment (SSA) form, however 'y' "
                           "has been used as output names multiple times" + CHECKER),
    "no such operator": (model("odd=Frobnicate:x->y"),
                         "InvalidGraph: m.onnx: No Op registered for Frobnicate with domain_version of 18 Bad node "
                         "spec for node. Name: odd OpType: Frobnicate" + CHECKER),
    "an unknown domain": (model("f1=com.acme/Foo:x->a b1=com.acme/Bar:a->b f2=com.acme/Foo:b->y", opsets=ACME),
                          ("UnsupportedOperator: m.onnx, node 'f1': com.acme.Foo (opset 1) has no ONNX Runtime form;\n"
                          "  also com.acme.Bar (opset 1) at 'b1'\n  also com.acme.Foo (opset 1) at 'f2'\n"
                          "  Write the model with operators of ONNX's own, or as functions inside the file.")),
    "an opset of the future": (model("a=Relu:x->y", opsets={"": 99}),
                               ("UnsupportedOperator: m.onnx: opset 99 is above "
                               f"{onnx.defs.onnx_opset_version()}, the newest that the installed onnx knows\n"
                               "  Write the model at an older opset, for instance with onnx.version_converter.")),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_invalid_models(what, tmp_path):
    proto, message = REFUSED[what]
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises((InvalidGraph, UnsupportedOperator)) as caught:
        known.require(path)
    assert str(caught.value) == message


def outside(**entries: str) -> onnx.ModelProto:
    """A model whose weight lies in another file, as `entries` say; by default in data.bin, whole."""
    proto = model("m=MatMul:x,w->y")
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "data.bin", "offset": "0", "length": "64", **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return proto


PLACES = {
    "gone": ({"location": "gone.bin"}, "its data lies in 'gone.bin', which does not exist"),
    "above": ({"location": "../data.bin"}, "its data lies in '../data.bin', which is outside the model's folder"),
    "absolute": ({"location": "/etc/passwd"}, "its data lies in '/etc/passwd', which is outside the model's folder"),
    "link": ({"location": "link.bin"}, "its data lies in 'link.bin', which is a link"),
    "twin": ({"location": "twin.bin"}, "its data lies in 'twin.bin', which has more than one name (hard links)"),
    "folder": ({"location": "."}, "its data lies in '.', which is not a regular file"),
    "nowhere": ({"location": ""}, "its data lies in '', which is no name of a file"),
    "short": ({"offset": "32"}, "its data lies in 'data.bin', which ends at byte 64, before the tensor's last (96)"),
    "negative": ({"offset": "-4"}, "its data lies in 'data.bin', at offset -4, 64 bytes long, which no file holds"),
    "word": ({"offset": "abc"}, "its data lies in 'data.bin', at an offset or of a length that is no number"),
    "length": ({"length": "12"}, "its data lies in 'data.bin', 12 bytes long where its type and shape want 64"),
}


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "model"
    inside.mkdir()
    for place in (tmp_path, inside):
        (place / "data.bin").write_bytes(np.eye(4, dtype=np.float32).tobytes())
    (inside / "link.bin").symlink_to(tmp_path / "data.bin")
    (inside / "one.bin").write_bytes(bytes(64))
    (inside / "twin.bin").hardlink_to(inside / "one.bin")
    return inside


@pytest.mark.parametrize("place", PLACES)
def test_external_data_out_of_place(place, folder):
    entries, trouble = PLACES[place]
    (folder / "m.onnx").write_bytes(outside(**entries).SerializeToString())
    with pytest.raises(InvalidGraph) as caught:
        read.read(folder / "m.onnx")
    hint = "External data must be a regular file of its own inside the model's folder."
    assert str(caught.value) == f"InvalidGraph: m.onnx, initializer 'w': {trouble}\n  {hint}"


def test_external_data_in_place(folder):
    import torch

    (folder / "m.onnx").write_bytes(outside().SerializeToString())
    x = torch.arange(8.0).reshape(2, 4)
    assert torch.equal(onnx_to_torch.build(folder / "m.onnx")(x), x)


def test_weights_of_another_size_than_declared(tmp_path):
    proto = model("m=MatMul:x,w->y")
    proto.graph.initializer[0].raw_data = b"123"
    with pytest.raises(InvalidGraph, match="it holds 3 bytes where its type and shape want 64"):
        read.read(proto)

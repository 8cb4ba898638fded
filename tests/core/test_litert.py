"""LiteRT files are read without LiteRT: what they hold is told, damage is named, strangers' operators are refused."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from tests.limits import HANG
from toolkit import formats, litert, safety
from toolkit.errors import BadInput, UnsafeFile
from toolkit.inspection import inspect

FLEX = """
import sys
import tensorflow as tf
function = tf.function(lambda x: {"y": tf.math.erf(x)}).get_concrete_function(x=tf.TensorSpec([None, 4], tf.float32))
converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
open(sys.argv[1], "wb").write(converter.convert())
"""


@pytest.fixture(scope="module")
def flex(tmp_path_factory):
    """A stranger's file that runs one of TensorFlow's own operators."""
    path = tmp_path_factory.mktemp("flex") / "flex.tflite"
    subprocess.run([sys.executable, "-c", FLEX, str(path)], check=True, capture_output=True, timeout=HANG)
    return path


def test_what_a_file_holds(exports):
    found = litert.read(exports["torch"].file("tflite"))
    assert found.operators["FULLY_CONNECTED"] == 2
    assert found.custom == ()
    assert [str(spec) for spec in found.signature.inputs] == ["x:float32[batch,4]"]
    assert [str(spec) for spec in found.signature.outputs] == ["output:float32[batch,3]"]
    assert {(3, 8), (8, 4)} <= {weight.shape for weight in found.weights}


def test_inspected(exports):
    path = exports["several"].file("tflite")
    found = inspect(path)
    assert (found.kind, found.safe, found.code) == ("tflite", "its operators only compute", ())
    assert [str(spec) for spec in found.signature.inputs] == ["tokens:int64[batch,time]", "scale:float32[batch,time]"]


def test_damage_is_named(exports, tmp_path):
    whole = exports["torch"].file("tflite").read_bytes()
    path = tmp_path / "model.tflite"
    chance = random.Random(0)
    refused = []
    for number in range(300):
        damaged = bytearray(whole[: chance.randrange(8, len(whole))] if number % 3 == 0 else whole)
        for _ in range(number % 3):
            damaged[chance.randrange(8, len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            litert.read(path)
        except BadInput as error:
            refused.append(str(error))
    assert len(refused) > 80
    assert {text.partition(" (")[0] for text in refused} == {
        f"BadInput: {path}: it is no LiteRT file, or a truncated one"
    }


def test_operators_of_tensorflow_are_refused(flex):
    assert formats.of_path(flex).name == "tflite"
    assert litert.read(flex).custom == ("FlexErf",)
    assert inspect(flex).safe == "may do more than compute: the TensorFlow operator Erf"
    with pytest.raises(UnsafeFile, match="it may do more than compute: the TensorFlow operator Erf"):
        safety.require(flex, "tflite")


def test_weights_are_the_bits_of_the_source(exports, pool):
    from toolkit.signature import Signature
    from toolkit.verification.sides import open_file

    side = open_file(pool, exports["keras"].file("tflite"), "cpu", Signature((), ()))
    hdf5 = open_file(pool, exports["keras"].file("hdf5"), "cpu", Signature((), ()))
    ours, theirs = ({(item.size, item.hash) for item in each.fingerprints()} for each in (side, hdf5))
    assert {item for item in theirs if item[0] in (32, 24)} <= ours
    small = np.ones((5, 4), np.float32)
    from toolkit.verification.plan import Batch

    (first,), (second,) = (each.run([Batch("ones", {"x": small}, 5)]) for each in (side, hdf5))
    np.testing.assert_allclose(first["scores"], second["scores"], rtol=1e-5)
    side.close()
    hdf5.close()

"""The messages: what goes in comes out, and what is no message is called that."""

from __future__ import annotations

import io
import json
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.signature import DTYPES
from toolkit.worker import wire


class Stream(io.BytesIO):
    """Takes and gives a few bytes at a time, as pipes do."""

    step = 7

    def readinto(self, buffer, /):
        return super().readinto(buffer[: self.step])

    def write(self, data, /):
        return super().write(data[: self.step])


def through(message):
    stream = Stream()
    wire.write(stream, message)
    stream.seek(0)
    received = wire.read(stream)
    with pytest.raises(EOFError):
        wire.read(stream)
    return received


def array_of(dtype, shape):
    count = math.prod(shape)
    if dtype == "string":
        return np.array([f"text {i} ☃\x00\n" for i in range(count)], dtype=object).reshape(shape)
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    return (np.arange(count) - 2).astype(np.int64).astype(kind).reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5,), (2, 3, 4)], ids=str)
def test_arrays(dtype, shape):
    sent = array_of(dtype, shape)
    received = through({"x": [sent, sent]})["x"]
    for array in received:
        assert array.dtype == sent.dtype
        assert array.shape == shape
        assert array.tobytes() == sent.tobytes() or array.tolist() == sent.tolist()


def test_memory_of_every_order():
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for sent in (base.T, base[:, ::2], base[::-1], np.asfortranarray(base), np.broadcast_to(base[:1], (5, 3, 4))):
        np.testing.assert_array_equal(through(sent), sent)


def test_bytes_of_another_order_keep_their_values():
    for dtype in (">f4", ">i8", ">u2", ">f8"):
        sent = np.array([1, 2, 300], dtype)
        received = through(sent)
        assert received.tolist() == [1, 2, 300]
        assert received.dtype == sent.dtype.newbyteorder("=")


def test_floats_bit_by_bit():
    sent = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45], np.float32)
    assert through(sent).tobytes() == sent.tobytes()
    payload = np.array([0x7FC12345, 0xFFC00001], np.uint32).view(np.float32)
    assert through(payload).tobytes() == payload.tobytes()


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e308, 5e-324, 0.1, -0.0])
def test_numbers(value):
    assert repr(through({"value": value})["value"]) == repr(value)


def test_nan():
    assert math.isnan(through([math.nan])[0])


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        ((1, (2,)), [1, [2]]),
        ({1: 2}, {"1": 2}),
        (np.array(b"bytes"), np.array("bytes", dtype=object)),
        (2**80, 2**80),
        ("\udc80", "\udc80"),
    ],
)
def test_values_that_json_lacks(sent, received):
    assert through(sent) == received


keys = st.one_of(st.text(), st.sampled_from(["$tensor", "$float", "$strings", "$", "$$tensor", "shape"]))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda child: st.one_of(st.lists(child), st.dictionaries(keys, child)),
    max_leaves=10,
)


@given(values)
def test_any_message(message):
    assert through(message) == message


def test_names_that_look_like_ours():
    message = {"$tensor": np.arange(3), "$float": {"$strings": np.array(["a"], dtype=object)}}
    received = through(message)
    assert received["$tensor"].tolist() == [0, 1, 2]
    assert received["$float"]["$strings"].tolist() == ["a"]


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, b"bytes", Ellipsis])
def test_what_is_no_message_is_refused_before_a_byte_is_written(value):
    stream = Stream()
    with pytest.raises(TypeError) as caught:
        wire.write(stream, {"array": np.zeros(3), "value": value})
    assert str(caught.value) == f"a message holds JSON values and arrays, not {type(value).__name__}"
    assert stream.getvalue() == b""


def frame(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def tensors(*entries):
    return {"message": [], "tensors": list(entries)}


def entry(dtype="float32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HEADER = "a header that cannot be read ("


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"Traceback (most recent call last)", "b'Tracebac'"),
        (b"Hello, world\n", "b'Hello, w'"),
        (b"\xff" * 8, r"b'\xff\xff\xff\xff\xff\xff\xff\xff'"),
        ((wire.MAX_HEADER + 1).to_bytes(8, "little"), r"b'\x01\x00\x00\x04\x00\x00\x00\x00'"),
        (frame(b"not json"), HEADER + "JSONDecodeError('Expecting value: line 1 column 1 (char 0)'))"),
        (frame(b"\xff\xfe"), HEADER),
        (frame(b"[" * 100_000), HEADER + "RecursionError("),
        (frame([]), HEADER + "TypeError("),
        (frame({}), HEADER + "KeyError('tensors'))"),
        (frame({"tensors": []}), HEADER + "KeyError('message'))"),
        (frame({"tensors": [7], "message": 0}), HEADER + "TypeError("),
        (frame({"tensors": [], "message": {"$tensor": 0}}), HEADER + "IndexError('list index out of range'))"),
        (frame({"tensors": [], "message": {"$float": "x"}}), HEADER + "ValueError("),
        (frame({"tensors": [], "message": {"$strings": ["a"], "shape": [2]}}), HEADER + "ValueError("),
        (frame(tensors(entry(offsets=(0, 8))), bytes(8)), "a tensor of 8 bytes for the float32 shape [1]"),
        (frame(tensors(entry(offsets=(4, 0))), bytes(8)), "a tensor at byte 4 where byte 0 comes next"),
        (frame(tensors(entry(offsets=(1, 5))), bytes(8)), "a tensor at byte 1 where byte 0 comes next"),
        (frame(tensors(entry(), entry()), bytes(8)), "a tensor at byte 0 where byte 4 comes next"),
        (frame(tensors(entry(offsets=(0,))), bytes(8)), HEADER + "ValueError("),
        (frame(tensors(entry(dtype="float23")), bytes(8)), HEADER),
        (frame(tensors(entry(dtype="object", offsets=(0, 8))), bytes(8)), HEADER),
        (frame(tensors(entry(shape=(-1,), offsets=(0, -4)))), HEADER),
        (frame(tensors(entry(shape=(2**60,), offsets=(0, 2**62)))), HEADER),
        (frame(tensors(entry(shape=("1",)))), "a tensor of 4 bytes for the float32 shape ['1']"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:40],
)
def test_malformed(data, what):
    with pytest.raises(wire.Malformed) as caught:
        wire.read(Stream(data))
    assert str(caught.value).startswith(what)
    assert not isinstance(caught.value, wire.CutShort)


def test_cut_short_at_every_byte():
    stream = Stream()
    wire.write(stream, {"x": np.arange(6, dtype=np.float32)})
    whole = stream.getvalue()
    with pytest.raises(EOFError):
        wire.read(Stream(b""))
    for size in range(1, len(whole)):
        with pytest.raises(wire.CutShort):
            wire.read(Stream(whole[:size]))
    assert wire.read(Stream(whole))

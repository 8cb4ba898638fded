"""IDX files: what is read, and the exact words for what is not."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from toolkit.errors import BadInput
from trainers import data
from trainers.data import idx


def encoded(magic: int, *shape: int, body: bytes | None = None) -> bytes:
    count = int(np.prod(shape))
    body = bytes(index % 10 for index in range(count)) if body is None else body
    return b"".join(value.to_bytes(4, "big") for value in (magic, *shape)) + body


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_images_and_labels(tmp_path, pack):
    path = tmp_path / "images"
    path.write_bytes(pack(encoded(0x803, 2, 28, 28)))
    images = idx.read_images(path)
    assert (images.dtype, images.shape) == (np.uint8, (2, 28, 28))
    assert images[0, 0].tolist() == [index % 10 for index in range(28)]
    path.write_bytes(pack(encoded(0x801, 12)))
    labels = idx.read_labels(path)
    assert (labels.dtype, labels.tolist()) == (np.int64, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])


FAULTS = {
    "magic": (encoded(0x801, 4), "its magic number is 0x00000801; an IDX file of images starts with 0x00000803"),
    "empty": (b"", "the file ends within its header, after 0 bytes"),
    "header": (encoded(0x803, 1, 28, 28)[:9], "the file ends within its header, after 9 bytes"),
    "short": (encoded(0x803, 1, 28, 28)[:-1], "the header promises 784 bytes of data and the file holds 783"),
    "long": (encoded(0x803, 1, 28, 28) + b"x", "the header promises 784 bytes of data and the file holds more"),
    "size": (encoded(0x803, 1, 8, 8), "its images are 8x8; this model takes 28x28"),
    "huge": (
        encoded(0x803, 4294967295, 28, 28, body=b""),
        "its header promises 3367254359280 bytes, more than any known data set",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_images_that_are_none(tmp_path, fault):
    content, message = FAULTS[fault]
    path = tmp_path / "file"
    path.write_bytes(content if fault != "magic" else content + bytes(20))
    with pytest.raises(BadInput) as caught:
        idx.read_images(path)
    assert str(caught.value) == f"BadInput: {path}: {message}"


def test_label_out_of_range(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(encoded(0x801, 3, body=bytes([1, 10, 2])))
    with pytest.raises(BadInput) as caught:
        idx.read_labels(path)
    assert str(caught.value) == f"BadInput: {path}: label 10 of item 1 is out of range 0..9"


def test_labels_that_are_images(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(encoded(0x803, 1, 28, 28))
    with pytest.raises(BadInput) as caught:
        idx.read_labels(path)
    assert caught.value.found == ("its magic number is 0x00000803; an IDX file of labels starts with 0x00000801")


@pytest.mark.parametrize("position", [11, 25, -6])
def test_damaged_gzip(tmp_path, position):
    content = bytearray(gzip.compress(encoded(0x803, 1, 28, 28)))
    path = tmp_path / "images.gz"
    path.write_bytes(content[:-9])
    with pytest.raises(BadInput, match=r"the gzip data is damaged \(Compressed file ended before"):
        idx.read_images(path)
    content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BadInput):
        idx.read_images(path)


@pytest.fixture
def folder(tmp_path):
    """A data folder as --data-dir names one: 20 training and 10 test items."""
    for stem, count in (("train", 20), ("t10k", 10)):
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(encoded(0x803, count, 28, 28))
        (tmp_path / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(encoded(0x801, count)))
    return tmp_path


def test_data_dir(folder):
    images = data.load("fashion-mnist", folder)
    assert (len(images.train), len(images.test)) == (20, 10)
    assert images.labels[9] == "Ankle Boot"


def test_data_dir_lacks_a_file(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(BadInput) as caught:
        data.load("mnist", folder)
    assert str(caught.value) == (
        f"BadInput: --data-dir {folder}: it holds neither t10k-labels-idx1-ubyte.gz nor t10k-labels-idx1-ubyte\n"
        "  Leave --data-dir out to download the data set."
    )


def test_counts_that_differ(folder):
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(encoded(0x801, 19))
    with pytest.raises(BadInput) as caught:
        data.load("mnist", folder)
    assert str(caught.value) == (f"BadInput: {path}: it holds 19 labels for the 20 images of train-images-idx3-ubyte")

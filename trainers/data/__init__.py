"""The data sets: their images as bytes, their split, their class names and how a pixel is normalised.

Framework-free (numpy only). A data set is prepared once, as whole arrays: no transform runs per item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.contract import Preprocessing
from toolkit.errors import BadInput
from trainers.data import digits, download, idx
from trainers.data.download import RemoteFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

Report = Callable[[Mapping[str, Any]], None]

_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-Shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle Boot",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Items and their labels: images as bytes (count, 28, 28), or a model's inputs as float32 (count, *shape)."""

    x: NDArray[Any]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Part:
        return Part(self.x[index], self.labels[index])


@dataclass(frozen=True)
class Images:
    """A data set: images as bytes, class names, and the mean and deviation of a training pixel divided by 255."""

    name: str
    train: Part
    test: Part
    labels: tuple[str, ...]
    mean: float
    std: float


@dataclass(frozen=True)
class _Remote:
    """A data set of four IDX files, in the order of `_ROLES`, and the addresses that serve them."""

    labels: tuple[str, ...]
    mean: float
    std: float
    mirrors: tuple[str, ...]
    sha256: tuple[str, str, str, str]

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        return tuple(RemoteFile(name, digest) for name, digest in zip(_ROLES, self.sha256, strict=True))


_ROLES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

REMOTE: dict[str, _Remote] = {
    "mnist": _Remote(
        _DIGITS,
        0.1307,
        0.3081,
        ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"),
        (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion-mnist": _Remote(
        _CLOTHES,
        0.2860,
        0.3530,
        (
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        ),
        (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
}


def load(name: str, data_dir: Path | None = None, report: Report = lambda _: None) -> Images:
    """The data set `name`: "digits" (embedded), "mnist" or "fashion-mnist".

    The latter two are read from `data_dir` if it is given (the four IDX files under their usual names, gzipped or
    not), else from the cache, filled by downloading. Raises BadInput for files that are missing or not what they
    should be.
    """
    if name == "digits":
        return _digits()
    remote = REMOTE[name]
    paths = _local(data_dir) if data_dir else _fetched(name, remote, report)
    classes = len(remote.labels)
    train, test = _read_pair(paths[0], paths[1], classes), _read_pair(paths[2], paths[3], classes)
    return Images(name, train, test, remote.labels, remote.mean, remote.std)


def _digits() -> Images:
    images, labels = digits.load()
    both = Part(images, labels)
    # The embedded digits' own figures, rounded as MNIST's are; a test holds them to the data.
    return Images("digits", both[: digits.TRAIN_COUNT], both[digits.TRAIN_COUNT :], _DIGITS, 0.1558, 0.2768)


def _local(folder: Path) -> list[Path]:
    """The four files in the user's folder, each as it comes or unpacked."""
    paths = []
    for name in _ROLES:
        candidates = (folder / name, folder / name.removesuffix(".gz"))
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            raise BadInput(
                f"it holds neither {candidates[0].name} nor {candidates[1].name}",
                where=f"--data-dir {folder}",
                hint="Leave --data-dir out to download the data set.",
            )
        paths.append(found)
    return paths


def _fetched(name: str, remote: _Remote, report: Report) -> list[Path]:
    folder = download.cache_folder() / name
    return [download.fetch(file, remote.mirrors, folder, report=report) for file in remote.files]


def _read_pair(images_path: Path, labels_path: Path, classes: int) -> Part:
    images, labels = idx.read_images(images_path), idx.read_labels(labels_path, classes)
    if len(images) != len(labels):
        raise BadInput(
            f"it holds {len(labels)} labels for the {len(images)} images of {images_path.name}", where=str(labels_path)
        )
    return Part(images, labels)


def prepare(images: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Bytes (count, 28, 28) -> a model's inputs (count, *shape): divided by the scale, then normalised, in float32."""
    x = images.astype(np.float32)
    x /= np.float32(preprocessing.scale)
    x -= np.float32(preprocessing.mean[0])
    x /= np.float32(preprocessing.std[0])
    return x.reshape(len(images), *preprocessing.shape)


def background(preprocessing: Preprocessing) -> float:
    """The value of a black pixel after `prepare`."""
    return float(prepare(np.zeros((1, *preprocessing.size), np.uint8), preprocessing).flat[0])


def shift(images: NDArray[np.float32], pixels: int, fill: float, generator: np.random.Generator) -> NDArray[np.float32]:
    """Move each image (count, height, width) by up to `pixels` in both directions; what comes in is `fill`.

    The offsets are drawn uniformly and independently per image. Whole groups of equal offset are copied at a time.
    """
    count, height, width = images.shape
    padded = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels)), constant_values=np.float32(fill))
    span = 2 * pixels + 1
    offsets = generator.integers(0, span * span, count)
    moved = np.empty_like(images)
    for offset in range(span * span):
        top, left = divmod(offset, span)
        chosen = np.flatnonzero(offsets == offset)
        moved[chosen] = padded[chosen, top : top + height, left : left + width]
    return moved

"""The declared pipeline: what may be declared, what it makes of pictures, and that its graph makes the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from toolkit.errors import BadInput
from toolkit.pipeline import Pipeline, from_table, read
from toolkit.runtime import pictures

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def raw(height, width, count=2):
    return np.random.default_rng(height * width).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"resiz": 3}, "where: there is no key 'resiz'"),
        ({"resize": 0}, "where: 'resize' is a number of pixels, or [height, width], not 0"),
        ({"resize": [1, 2, 3]}, "where: 'resize' is a number of pixels, or [height, width], not [1, 2, 3]"),
        ({"filter": "lanczos"}, "where: 'filter' is one of nearest, bilinear, bicubic, not 'lanczos'"),
        ({"antialias": 1}, "where: 'antialias' is true or false, not 1"),
        ({"crop": "big"}, "where: 'crop' is a number of pixels, or [height, width], not 'big'"),
        ({"scale": -1}, "where: 'scale' is a number above 0, not -1"),
        ({"mean": [1.0, 2.0]}, "where: 'mean' is one number, or three, not [1.0, 2.0]"),
        ({"std": 0}, "where: 'std' is above 0, not 0"),
        ({"channels": "grey"}, "where: 'channels' is one of rgb, bgr, not 'grey'"),
        ({"resize": 20, "crop": 21}, "where: 'crop' [21, 21] is larger than what 'resize' makes sure of, [20, 20]"),
    ],
)
def test_mistakes_name_the_key(table, words):
    with pytest.raises(BadInput) as raised:
        from_table(table, "where")
    assert words in str(raised.value)


def test_files_of_both_languages(tmp_path):
    (tmp_path / "a.toml").write_text('[preprocess]\nresize = 8\nfilter = "nearest"\n')
    (tmp_path / "a.json").write_text('{"resize": 8, "filter": "nearest"}')
    assert read(tmp_path / "a.toml") == read(tmp_path / "a.json") == Pipeline(resize=8, filter="nearest")
    with pytest.raises(BadInput, match="there is no such file"):
        read(tmp_path / "b.json")


def test_it_travels_as_json():
    made = from_table({"resize": [8, 9], "crop": 7, "channels": "bgr", **IMAGENET}, "x")
    assert from_table(made.to_json(), "x") == made


def test_a_picture_of_its_size_is_only_scaled():
    x = raw(5, 6)
    expected = (x.astype(np.float32) * np.float32(1 / 255)).transpose(0, 3, 1, 2)
    assert np.array_equal(pictures.apply(Pipeline(resize=(5, 6)), x), expected)
    assert np.array_equal(pictures.apply(Pipeline(channels="bgr"), x), expected[:, ::-1])


@pytest.mark.parametrize(
    ("height", "width", "wanted"), [(375, 500, (256, 341)), (333, 250, (340, 256)), (9, 9, (256, 256))]
)
def test_the_longer_side_is_rounded_down(height, width, wanted):
    assert pictures.resized_sides(Pipeline(resize=256), (height, width)) == wanted


@pytest.mark.parametrize(("side", "start"), [(10, 0), (11, 0), (12, 1), (13, 2), (14, 2), (15, 2), (16, 3)])
def test_a_crop_off_the_middle_starts_at_the_even_pixel(side, start):
    x = np.broadcast_to(np.arange(side, dtype=np.uint8)[None, :, None, None], (1, side, 10, 3))
    assert pictures.apply(Pipeline(crop=(10, 10), scale=1.0), x)[0, 0, 0, 0] == start


def test_what_is_no_picture_or_too_small_is_refused():
    with pytest.raises(BadInput, match=r"it is float32\[1, 4, 4, 3\], and a picture is uint8\[batch, height, width"):
        pictures.apply(Pipeline(), np.zeros((1, 4, 4, 3), np.float32))
    with pytest.raises(BadInput, match="the picture has 4 pixels where 5 are cut out"):
        pictures.apply(Pipeline(crop=(5, 5)), raw(4, 8))


@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("size", "length"), [(57, 20), (20, 57), (8, 3), (3, 64), (40, 39)])
def test_resizing_is_that_of_pytorch(name, antialias, size, length):
    """PyTorch, on which torchvision's transforms of tensors stand, computes its weights in the tensor's own type."""
    torch = pytest.importorskip("torch")
    x = raw(size, 11)
    found = pictures.apply(Pipeline(resize=(length, 11), filter=name, antialias=antialias, scale=1.0), x, np.float64)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(x.transpose(0, 3, 1, 2)).double(), (length, 11), mode=name, antialias=antialias
    )
    assert np.abs(found - theirs.numpy()).max() < 1e-9


@pytest.mark.parametrize(("name", "most"), [("bilinear", 1.0), ("nearest", 0.0)])
def test_resizing_is_that_of_pillow_but_for_its_rounding(name, most):
    image = pytest.importorskip("PIL.Image")
    for (height, width), (tall, wide) in itertools.product([(40, 57), (23, 90)], [(13, 20), (64, 31)]):
        x = raw(height, width, 1)
        found = pictures.apply(Pipeline(resize=(tall, wide), filter=name, scale=1.0, layout="nhwc"), x)[0]
        theirs = np.asarray(image.fromarray(x[0]).resize((wide, tall), image.Resampling[name.upper()]), np.float32)
        assert np.abs(found - theirs).max() <= most


TABLES = [
    *(
        {"resize": 24, "crop": 21, "filter": name, "antialias": wide, "channels": order, "layout": layout, **IMAGENET}
        for name, (wide, order, layout) in itertools.product(
            ("nearest", "bilinear", "bicubic"), ((True, "rgb", "nchw"), (False, "bgr", "nhwc"))
        )
    ),
    {"resize": [30, 17], "filter": "bicubic"},
    {"crop": [10, 13]},
    {"resize": 40},
]


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_the_graph_makes_what_numpy_makes(table):
    """To the rounding of the sums, at sizes that are not known beforehand, larger and smaller ones."""
    ort = pytest.importorskip("onnxruntime")
    import onnx
    import onnx_ir as ir

    from exporters.graph import pictures as graph

    pipeline = from_table(table, "table")
    dims = ["batch", 3, "h", "w"] if pipeline.layout == "nchw" else ["batch", "h", "w", 3]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims) for name in "xy"]
    nodes = [onnx.helper.make_node("Identity", ["x"], ["y"])]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "graph", values[:1], values[1:]),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=9,
    )
    written = ir.from_proto(model)
    graph.prepend(written, pipeline, "x")
    session = ort.InferenceSession(ir.to_proto(written).SerializeToString(), providers=["CPUExecutionProvider"])
    for sides in ((40, 57), (33, 25), (24, 24), (22, 90), (90, 31)):
        x = raw(*sides)
        found, exact = session.run(None, {"x": x})[0], pictures.apply(pipeline, x, np.float64)
        ours = np.abs(pictures.apply(pipeline, x) - exact).max()
        assert found.shape == exact.shape
        assert np.abs(found - exact).max() <= 1.5 * ours + 1e-7

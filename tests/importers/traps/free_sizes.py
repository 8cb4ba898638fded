"""Sizes that the graph leaves open."""

from __future__ import annotations

import numpy as np

from tests.importers.traps.trap import KERNEL, POOL, I, Trap, batches, f, node


def free_sizes() -> list[Trap]:
    """Sizes that are known only when the model runs, where a shape cannot simply be left open."""
    images = [{"x": f(1, 3, 7, 9)}, {"x": f(2, 3, 10, 6)}]
    rows = [{"x": f(2, 5, 12)}, {"x": f(3, 4, 12)}]
    heads = node("Reshape", ["x", "split"], ["s"]), node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3])
    doubled = node("Reshape", ["t", "merged"], ["y"])
    size_of = [node("Shape", ["x"], ["shape"]), node("Slice", ["shape", "two", "four", "zero"], ["hw"])]
    twice = [*size_of, node("Mul", ["hw", "two"], ["double"]), node("Concat", ["nc", "double"], ["sizes"], axis=0)]
    numbers = {"zero": I([0]), "two": I([2]), "four": I([4])}
    lead = [node("Slice", ["shape", "zero", "two", "zero"], ["nc"])]
    found = [
        Trap("reshape_heads", [*heads, doubled], rows, weights={"split": I([0, -1, 3, 4]), "merged": I([-1, 3, 4])}),
        Trap(
            "heads_merged_behind_two_free_sizes",
            [
                *heads, node("Transpose", ["t"], ["back"], perm=[0, 2, 1, 3]), node("Shape", ["x"], ["sh"]),
                node("Slice", ["sh", "zero", "two", "zero"], ["bt"]),
                node("Concat", ["bt", "minus"], ["target"], axis=0), node("Reshape", ["back", "target"], ["joined"]),
                node("MatMul", ["joined", "w"], ["y"]),
            ],
            rows,
            weights={"split": I([0, -1, 3, 4]), "zero": I([0]), "two": I([2]), "minus": I([-1]), "w": f(12, 5)},
        ),
        Trap(
            "reshape_batch_and_heads_into_one",
            [
                *heads, node("Shape", ["t"], ["sh"]), node("Gather", ["sh", "at"], ["len"]),
                node("Concat", ["minus", "len", "last"], ["target"], axis=0), node("Reshape", ["t", "target"], ["y"]),
            ],
            rows,
            weights={"split": I([0, -1, 3, 4]), "at": I([2]), "minus": I([-1]), "last": I([4])},
        ),
        Trap(
            "channels_shuffled_in_an_image_of_free_size",
            [
                node("Shape", ["x"], ["shape"]), node("Slice", ["shape", "two", "four", "zero"], ["hw"]),
                node("Slice", ["shape", "zero", "one", "zero"], ["n"]),
                node("Concat", ["n", "groups", "hw"], ["apart"], axis=0), node("Reshape", ["x", "apart"], ["a"]),
                node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]), node("Reshape", ["b", "shape"], ["c"]),
                node("Reshape", ["c", "apart"], ["d"]), node("Reshape", ["d", "shape"], ["e"]),
                node("Add", ["c", "e"], ["y"]),
            ],
            [{"x": f(1, 6, 3, 4)}, {"x": f(2, 6, 5, 2)}],
            weights={"one": I([1]), "groups": I([2, 3]), **numbers},
        ),
        Trap(
            "reshape_one_open_axis_into_two",
            [
                node("Reshape", ["x", "flat"], ["rows"]), node("Mul", ["rows", "factor"], ["scaled"]),
                node("Shape", ["x"], ["shape"]), node("Reshape", ["scaled", "shape"], ["y"]),
            ],
            rows,
            weights={"flat": I([-1, 12]), "factor": np.arange(12, dtype=np.float32)},
        ),
        Trap("conv_same_upper_of_free_size", "Conv", images, {"auto_pad": "SAME_UPPER", "strides": [2, 3]}, KERNEL),
        Trap("conv_same_lower_of_free_size", "Conv", images, {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, KERNEL),
        Trap("pool_ceil_of_free_size", "MaxPool", images, {"ceil_mode": 1, "pads": [1, 1, 1, 1], **POOL}),
        Trap("average_ceil_of_free_size", "AveragePool", images, {"ceil_mode": 1, "pads": [1, 0, 1, 1], **POOL}),
        Trap("pad_reflect_of_free_size", "Pad", images, {"mode": "reflect"}, {"pads": I([0, 0, 2, 3, 0, 0, 4, 1])}),
        Trap("pad_edge_of_free_size", "Pad", images, {"mode": "edge"}, {"pads": I([0, 0, 2, 3, 0, 0, 4, 1])}),
        Trap("pad_wrap_of_free_size", "Pad", images, {"mode": "wrap"}, {"pads": I([0, 0, 2, 3, 0, 0, 4, 1])}, opset=19),
        Trap("flatten_in_the_middle", "Flatten", images, {"axis": 2}),
        Trap("depth_to_space_after_free_size", "DepthToSpace", batches(8, 3, 5), {"blocksize": 2}),
        Trap(
            "expand_to_the_shape_of_another",
            [
                node("Shape", ["x"], ["shape"]), node("Expand", ["column", "shape"], ["e"]),
                node("Add", ["x", "e"], ["y"]),
            ],
            rows,
            weights={"column": f(5, 1)[:1]},
        ),
        Trap(
            "range_of_a_free_size",
            [
                node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "at"], ["n"]),
                node("Range", ["from", "n", "step"], ["places"]), node("Gather", ["x", "places"], ["y"], axis=1),
            ],
            rows,
            weights={"at": I(1), "from": I(1), "step": I(2)},
        ),
        Trap(
            "slice_to_half_of_a_free_size",
            [
                node("Shape", ["x"], ["shape"]), node("Slice", ["shape", "one", "two", "zero"], ["n"]),
                node("Div", ["n", "two"], ["half"]), node("Slice", ["x", "half", "n", "one"], ["y"]),
            ],
            rows,
            weights={"one": I([1]), **numbers},
        ),
        Trap(
            "scatter_slices_of_free_size",
            "ScatterND",
            [{"x": f(5, 4), "updates": f(2, 2, 4)}, {"x": f(7, 3), "updates": f(2, 2, 3)}],
            inputs=("x", "places", "updates"),
            weights={"places": I([[[4], [1]], [[0], [3]]])},
        ),
        Trap(
            "sort_a_free_size",
            [
                node("Shape", ["x"], ["shape"]), node("Slice", ["shape", "one", "two", "zero"], ["n"]),
                node("TopK", ["x", "n"], ["largest", "i"], axis=1),
                node("TopK", ["x", "n"], ["smallest", "j"], axis=1, largest=0),
                node("Cast", ["i"], ["fi"], to=1), node("Cast", ["j"], ["fj"], to=1),
                node("Concat", ["largest", "smallest", "fi", "fj"], ["y"], axis=2),
            ],
            [{"x": np.round(f(2, 5, 3))}, {"x": np.round(f(3, 4, 3))}],
            weights={"one": I([1]), **numbers},
        ),
        Trap(
            "half_of_a_free_size_sorted",
            [
                node("Shape", ["x"], ["shape"]), node("Slice", ["shape", "one", "two", "zero"], ["n"]),
                node("Div", ["n", "two"], ["half"]), node("TopK", ["x", "half"], ["y", "i"], axis=1),
            ],
            rows,
            weights={"one": I([1]), **numbers},
        ),
        Trap(
            "grid_sample_of_free_size",
            "GridSample",
            [{"x": f(1, 2, 5, 4), "grid": f(1, 3, 6, 2) / 4}, {"x": f(2, 2, 3, 7), "grid": f(2, 4, 2, 2) / 4}],
            {"align_corners": 1, "padding_mode": "reflection"},
        ),
    ]  # fmt: skip
    for mode, coordinates in (
        ("nearest", "asymmetric"), ("nearest", "half_pixel"), ("linear", "half_pixel"), ("linear", "align_corners"),
        ("cubic", "half_pixel"), ("linear", "pytorch_half_pixel"),
    ):  # fmt: skip
        options = {"mode": mode, "coordinate_transformation_mode": coordinates}
        name = f"{mode}_{coordinates}_of_free_size"
        by_sizes = node("Resize", ["x", "", "", "sizes"], ["y"], **options)
        found += [
            Trap(f"resize_by_scale_{name}", [node("Resize", ["x", "", "scales"], ["y"], **options)], images,
                 weights={"scales": np.float32([1, 1, 1.5, 2])}),
            Trap(f"resize_to_sizes_{name}", [*twice[:2], *lead, *twice[2:], by_sizes],
                 images, weights=numbers),
        ]  # fmt: skip
    return found

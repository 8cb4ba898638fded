"""Several nodes: shared, nested, named."""

from __future__ import annotations

from tests.importers.traps.trap import I, Trap, batches, f, node


def graphs() -> list[Trap]:
    split = [node("Split", ["x"], ["a", "b"], axis=1), node("Relu", ["a"], ["unused"])]
    bias = {"w": f(3, 4), "b": f(4)}
    return [
        Trap("outputs_in_another_order", split[:1], batches(4), outputs=("b", "a")),
        Trap("input_is_output", [node("Relu", ["x"], ["y"])], batches(4), outputs=("x", "y")),
        Trap(
            "same_output_through_identity",
            [node("Relu", ["x"], ["y"]), node("Identity", ["y"], ["z"])],
            batches(4),
            outputs=("z", "y"),
        ),
        Trap("input_through_identity", [node("Identity", ["x"], ["y"])], batches(4)),
        Trap("second_output_alone", [node("TopK", ["x", "k"], ["unread", "y"])], batches(4), weights={"k": I([2])}),
        Trap(
            "matmul_add", [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])], batches(3), weights=bias
        ),
        Trap(
            "bias_first",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["b", "p"], ["y"])],
            batches(5, 3),
            weights=bias,
        ),
        Trap(
            "product_read_twice",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["q"]), node("Mul", ["p", "q"], ["y"])],
            batches(3),
            weights=bias,
        ),
        Trap(
            "product_is_output",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(3),
            weights=bias,
            outputs=("p", "y"),
        ),
        Trap(
            "bias_raises_rank",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(3),
            weights={"w": f(3, 4), "b": f(2, 1, 4)},
        ),
        Trap(
            "bias_per_row",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            {"x": f(4, 3)},
            weights={"w": f(3, 4), "b": f(4, 1)},
        ),
        Trap(
            "bias_widens_one_column",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(3),
            weights={"w": f(3, 1), "b": f(4)},
        ),
        Trap(
            "conv_add",
            [node("Conv", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(2, 5, 5),
            weights={"w": f(3, 2, 3, 3), "b": f(3, 1, 1)},
        ),
        Trap(
            "conv_add_per_column",
            [node("Conv", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(2, 5, 5),
            weights={"w": f(3, 2, 3, 3), "b": f(3)},
        ),
        Trap(
            "conv_with_bias_add",
            [node("Conv", ["x", "w", "c"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(2, 5, 5),
            weights={"w": f(3, 2, 3, 3), "c": f(3), "b": f(3, 1, 1)},
        ),
        Trap(
            "transpose_square",
            [node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]), node("Add", ["t", "b"], ["y"])],
            batches(3, 3, 3),
            weights={"b": f(3, 1)},
        ),
        Trap(
            "equal_axes_cnn",
            [
                node("Conv", ["x", "w"], ["p"], pads=[1, 1, 1, 1]),
                node("Add", ["p", "x"], ["q"]),
                node("ReduceMean", ["q"], ["m"], axes=[1], keepdims=1),
                node("Mul", ["q", "m"], ["r"]),
                node("Reshape", ["r", "s"], ["y"]),
            ],
            batches(4, 4, 4),
            weights={"w": f(4, 4, 3, 3) / 50, "s": I([0, -1])},
        ),
    ]

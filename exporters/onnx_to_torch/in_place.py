"""Let what follows a layer overwrite the layer's result: an activation, a residual sum, a gate.

    relu = torch.relu(conv2d)        becomes    relu = conv2d.relu_()        where nobody else needs `conv2d`

Fresh memory costs more than the arithmetic on it: it comes page by page, and lies in no cache. Models written by hand
say `inplace=True` for that reason; an ONNX graph cannot.

Overwritten is only what a function of `FRESH` made, never an input, a weight or a view of either; which nobody reads
later on; and which has the shape and the dtype of what takes its place. Gradients flow as before: nothing here needs
its own result in the backward pass, and PyTorch keeps a copy of what the overwriting function needs there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as nnf

from exporters.graph.values import same_size
from exporters.onnx_to_torch.channels_last import pointwise

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import fx

Functions = frozenset[Callable[..., Any]]

# What makes a tensor of its own that its backward pass does not need.
FRESH: Functions = frozenset({
    nnf.avg_pool1d, nnf.avg_pool2d, nnf.avg_pool3d, nnf.batch_norm, nnf.gelu, nnf.hardsigmoid, nnf.hardswish,
    nnf.layer_norm, nnf.linear, nnf.silu, operator.add, operator.mul, operator.sub, operator.truediv, pointwise,
    torch.clamp, torch.constant_pad_nd, torch.conv1d, torch.conv2d, torch.conv3d, torch.matmul, torch.mean, torch.mm,
})  # fmt: skip
# What shows a tensor in another order: as good as fresh where only this reads it.
VIEWS: Functions = frozenset({torch.permute, torch.reshape})
# What keeps neither the tensor nor a view of it, and whose backward pass does not need it.
READS_ONLY: Functions = frozenset({torch.mean, operator.add})
# What may overwrite its first argument, and the method that does so.
METHODS: Mapping[Callable[..., Any], str] = {
    operator.add: "add_",
    operator.mul: "mul_",
    operator.sub: "sub_",
    operator.truediv: "div_",
    torch.clamp: "clamp_",
    torch.relu: "relu_",
    torch.sigmoid: "sigmoid_",
    torch.tanh: "tanh_",
}
FLAGGED: Functions = frozenset({nnf.hardsigmoid, nnf.hardswish, nnf.mish, nnf.silu})  # these take `inplace=True`
NAMED: Mapping[Callable[..., Any], Callable[..., Any]] = {nnf.gelu: torch._C._nn.gelu_}  # type: ignore[attr-defined]  # noqa: SLF001 - its only name
_BROADCAST: Functions = frozenset({operator.add, operator.mul, operator.sub, operator.truediv})
_COMMUTE: Functions = frozenset({operator.add, operator.mul})
_FRESH_METHODS = frozenset({"add_", "mul_", "sub_", "div_", "clamp_"})


def overwrite(module: fx.GraphModule, made: Mapping[fx.Node, ir.Value]) -> int:
    """Overwrite wherever it is safe; changes the module in place, and returns how often.

    `made` tells what its nodes stand for in the ONNX graph, and so their shapes and dtypes.
    """
    places = {node: place for place, node in enumerate(module.graph.nodes)}
    found = 0
    for node in module.graph.nodes:
        if node.op != "call_function" or not (node.target in METHODS or node.target in FLAGGED or node.target in NAMED):
            continue
        operands = node.args[:2] if node.target in _COMMUTE else node.args[:1]
        given = next((one for one in operands if _is_free(one, node, made, places)), None)
        if given is not None:
            _write_over(node, given)
            found += 1
    module.recompile()
    return found


def _write_over(node: fx.Node, given: Any) -> None:
    if node.target in FLAGGED:
        node.kwargs = {**node.kwargs, "inplace": True}
    elif node.target in NAMED:
        node.target = NAMED[node.target]  # type: ignore[index]  # a function
    else:
        rest = node.args[1:] if node.args[0] is given else node.args[:1]
        node.op, node.target, node.args = "call_method", METHODS[node.target], (given, *rest)  # type: ignore[index]  # a function


def _is_free(given: Any, reader: fx.Node, made: Mapping[fx.Node, ir.Value], places: Mapping[fx.Node, int]) -> bool:
    """Whether `reader` may put its own result where `given` is."""
    old, new = made.get(given), made.get(reader)
    if old is None or new is None or old.dtype is None or old.dtype != new.dtype:
        return False
    if reader.target in _BROADCAST and not _of_one_shape(old, new):
        return False
    if not _is_own(given) or list(reader.args).count(given) != 1:
        return False
    others = [user for user in given.users if user is not reader]
    return all(user.target in READS_ONLY and places[user] < places[reader] for user in others)


def _of_one_shape(one: ir.Value, other: ir.Value) -> bool:
    if one.shape is None or other.shape is None or len(one.shape) != len(other.shape):
        return False
    return all(same_size(size, also) for size, also in zip(one.shape, other.shape, strict=True))


def _is_own(node: fx.Node) -> bool:
    """Whether a node's result is memory that nothing before it holds."""
    while node.target in VIEWS and len(node.args[0].users) == 1:  # type: ignore[union-attr]  # a node
        node = node.args[0]  # type: ignore[assignment]  # as just asked
    return node.target in _FRESH_METHODS if node.op == "call_method" else node.target in FRESH | set(NAMED.values())

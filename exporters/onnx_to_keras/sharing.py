"""Weights that several nodes read: one variable in the rebuilt model, as they are one in the source.

1. The same operator with the same attributes and the same other weights, here or in every turn of a loop: one layer,
   called as often.
2. Products with one matrix and different biases: one Dense layer without a bias; the biases are added behind it.
3. A table whose rows are looked up, and by whose transpose something is multiplied, as a language model's embedding is
   by its head: one ReversibleEmbedding layer.
4. Other products and convolutions by one weight, and arithmetic with one: a tensor of its own layer's, of which each
   reader takes what it needs.

What else shares a weight in part, such as normalisations of one factor and several offsets, gets a layer each.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from exporters.graph.operator_table import FUSED
from exporters.graph.values import CONSTANT

SAME, APART, TABLE, OPEN = "", "apart", "table", "open"
_PRODUCTS = frozenset({"MatMul", "Gemm", "Linear"})
_LAYERS = frozenset({
    *_PRODUCTS, "BatchNormalization", "Conv", "ConvTranspose", "GRU", "Gather", "LSTM", "LayerNormalization", "RNN",
})  # fmt: skip
# Operators that take a weight as a tensor nearly as well as they take one that a layer holds, and which input it is.
# A bias is not worth it: where exporters store equal ones once, the layers get one each.
_TAKES_TENSORS = {**dict.fromkeys(_PRODUCTS, 1), "Conv": 1, "Gather": 0}


def tie(model: ir.Model) -> ir.Model:
    """`MatMul(x, Transpose(W))` of a matrix that others read too, as one product that reads `W` itself; in place."""
    for value in list(model.graph.initializers.values()):
        if len(value.uses()) < 2 or value.shape is None or len(value.shape) != 2 or value.meta.get(CONSTANT):
            continue
        for node in [use.node for use in value.uses()]:
            if _is(node, "Transpose") and _turned(node):
                for product in [use.node for use in node.outputs[0].uses() if _is_right_factor(use)]:
                    _read_itself(product, value)
                    model.opset_imports[FUSED] = 1
                if not node.outputs[0].uses() and not node.outputs[0].is_graph_output() and node.graph is not None:
                    node.graph.remove(node, safe=True)
    return model


def _is(node: ir.Node, op_type: str) -> bool:
    return node.op_type == op_type and not node.domain


def _turned(node: ir.Node) -> bool:
    return "perm" not in node.attributes or list(node.attributes["perm"].as_ints()) == [1, 0]


def _is_right_factor(use: Any) -> bool:
    return _is(use.node, "MatMul") and use.idx == 1 and len(use.node.inputs) == 2


def _read_itself(product: ir.Node, weight: ir.Value) -> None:
    linear = ir.Node(
        FUSED, "Linear", [product.inputs[0], weight], [ir.AttrInt64("transB", 1)], num_outputs=1, name=product.name
    )
    old, new = product.outputs[0], linear.outputs[0]
    assert product.graph is not None
    product.graph.insert_before(product, linear)
    new.shape, new.type = old.shape, old.type
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    product.graph.remove(product, safe=True)
    new.name = old.name


def shared(value: ir.Value, moves: frozenset[str]) -> str:
    """How the readers of a weight share it: SAME, APART, TABLE or OPEN; SAME too where there is one, or none.

    `moves` are operators by which weights are moved about while the model is built, where nothing else reads them.
    """
    uses = list(value.uses())
    if len(uses) < 2 or all(use.node.op_type in moves and not use.node.domain for use in uses):
        return SAME
    if uses[0].node.op_type in _LAYERS and len({_role(use, biased=True) for use in uses}) == 1:
        return SAME
    products = [use for use in uses if _is_product(use)]
    if len(products) == len(uses) and len({_role(use, biased=False) for use in uses}) == 1:
        return APART
    rest = [use for use in uses if use not in products]
    if all(map(_is_by_rows, products)) and all(map(_is_lookup, rest)):
        return TABLE
    return OPEN


def _role(use: Any, *, biased: bool) -> tuple[Any, ...]:
    """What a reader does with a weight: equal roles can be one layer."""
    node = use.node
    if not biased:
        return (use.idx, _transposed(node))
    attributes = sorted((name, str(attribute.value)) for name, attribute in node.attributes.items())
    others = [None if value is None or value.const_value is None else value for value in node.inputs]
    return (node.op_type, node.domain, use.idx, tuple(attributes), tuple(others))


def _is_product(use: Any) -> bool:
    node = use.node
    factors = [node.attributes[name].as_float() for name in ("alpha", "beta") if name in node.attributes]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    plain = node.op_type in _PRODUCTS and all(factor == 1.0 for factor in factors)
    return use.idx == 1 and plain and (bias is None or bias.const_value is not None)


def _transposed(node: ir.Node) -> bool:
    return "transB" in node.attributes and bool(node.attributes["transB"].as_int())


def _is_by_rows(use: Any) -> bool:
    return _transposed(use.node)


def _is_lookup(use: Any) -> bool:
    node = use.node
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    return _is(node, "Gather") and use.idx == 0 and axis == 0 and node.inputs[1].const_value is None


def takes_tensor(node: ir.Node, index: int) -> bool:
    """Whether `node` can read this weight as a tensor. One convolution for each group would not be worth it."""
    groups = node.attributes["group"].as_int() if "group" in node.attributes else 1
    return _TAKES_TENSORS.get(node.op_type) == index and groups == 1


def moved(node: ir.Node, operands: list[Any], index: int) -> Any:
    """Where a weight comes from that `node` moved about: equal for the same move of the same weights."""
    attributes = sorted((name, str(attribute.value)) for name, attribute in node.attributes.items())
    given = (None if each is None else each.origin or each.array.tobytes() for each in operands)
    return (node.op_type, tuple(attributes), tuple(given), index)

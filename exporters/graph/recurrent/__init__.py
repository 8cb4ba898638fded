"""Recurrent cells that a graph spells out, in loops or step by step, as the LSTM, GRU or RNN operators that they are.

`loop` and `scan` read an operator as a step over sequences and states (`steps`), counting with sizes (`counting`);
`unrolled_step` reads a step in a graph without a loop, `chains` follows such steps over `elements` of a sequence;
`reader` says what a step computes from its weights, as `expression`s; `cells` recognises the three cells in that,
`masks` the steps that Keras leaves out. `looped` and `unrolled` put the operator, as `written` has it, in their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.recurrent import looped, unrolled

if TYPE_CHECKING:
    import onnx_ir as ir


def recover(model: ir.Model, *, shortest: int = 2) -> ir.Model:
    """Replace what can be replaced in the main graph; the model is changed where it stands.

    Args:
        model: with shapes.
        shortest: how many steps a cell without a loop must at least be written out for.
    """
    return unrolled.replace(looped.replace(model), shortest)


__all__ = ["recover"]

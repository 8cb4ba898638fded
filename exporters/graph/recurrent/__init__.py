"""Loops that spell out an LSTM, a GRU or a simple recurrent layer, as the one operator that they are.

`loop` and `scan` read an operator as a step over sequences and states (`steps`), counting with sizes (`counting`);
`reader` says what a step computes from its weights, as `expression`s; `cells` recognises the three cells in that,
`masks` the steps that Keras leaves out, and `recover` puts the operator in the loop's place.
"""

from exporters.graph.recurrent.recover import recover

__all__ = ["recover"]

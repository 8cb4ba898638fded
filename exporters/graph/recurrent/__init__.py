"""Loops that spell out an LSTM, a GRU or a simple recurrent layer, as the one operator that they are.

`loop` reads a Loop as a step over sequences and states, `expression` says what a step computes from its weights,
`cells` recognises the three cells in that, and `recover` puts the operator in the loop's place.
"""

from exporters.graph.recurrent.recover import recover

__all__ = ["recover"]

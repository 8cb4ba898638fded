"""Take transpositions out of a graph that computes part of itself in one axis order and part in another.

`operators` says which operators can work in either order and how they change, `cut` finds a smallest cut of a flow
network, and `move` labels every operator with the order that leaves the fewest transpositions and rewrites the graph.
"""

from exporters.graph.transposes.move import reduce_transposes

__all__ = ["reduce_transposes"]

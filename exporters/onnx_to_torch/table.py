"""The table that the operator families of this package register in."""

from exporters.graph.contributed import REWRITTEN
from exporters.graph.operator_table import OperatorTable

TORCH = OperatorTable(
    "PyTorch",
    ceiling=28,
    advice="The file itself runs in ONNX Runtime: toolkit predict takes the .onnx as it is.",
    rewritten=REWRITTEN,
)

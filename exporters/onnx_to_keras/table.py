"""The table that the operator families of this package register in."""

from exporters.graph.contributed import REWRITTEN
from exporters.graph.operator_table import OperatorTable

KERAS = OperatorTable(
    "Keras",
    ceiling=28,
    advice="The torch target can rebuild more models: toolkit export model.onnx --to torchscript",
    rewritten=REWRITTEN,
)

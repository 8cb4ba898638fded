"""What an operator's function does not cover, of ONNX's operators and of those for classical machine learning."""

from __future__ import annotations

from exporters.graph.limits import CONTRIBUTED, Limit, Limits

ML = "ai.onnx.ml"

LIMITS: Limits = CONTRIBUTED | {
    (ML, "OneHotEncoder"): Limit((), {"cats_strings": (), "zeros": (1,)}),
    (ML, "LinearClassifier"): Limit((), {"classlabels_strings": ()}),
    (ML, "TreeEnsembleClassifier"): Limit((), {"classlabels_strings": ()}),
    (ML, "LabelEncoder"): Limit((), {"keys_strings": (), "values_strings": ()}),
    ("", "TfIdfVectorizer"): Limit((), {"pool_strings": ()}),
    ("", "Constant"): Limit((), {"sparse_value": (), "value_string": (), "value_strings": ()}),
}

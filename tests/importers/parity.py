"""What the tables lack on purpose: operators without a PyTorch form, and those that PyTorch has and Keras has not."""

from __future__ import annotations

STRINGS = "TorchScript has no tensors of strings, only flat lists of them"

# Operators of ONNX that the PyTorch table lacks at every opset, and that ONNX has no function body for.
ABSENT = {
    "RegexFullMatch": STRINGS,
    "StringConcat": STRINGS,
    "StringNormalizer": STRINGS,
    "StringSplit": STRINGS,
}

# Why the Keras table lacks operators that the PyTorch table has. A Keras file must reload where only Keras is known, as
# a functional model of built-in layers and operations.
KERAS_LACKS = {
    "a functional model has no sequences and no optional values": {
        "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt", "SequenceConstruct",
        "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence",
    },
    "it draws at random at inference, where Keras' layers do nothing": {
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
    },
    "its bins depend on the values of its regions": {"MaxRoiPool"},
    "it is expanded by ONNX's own function body": {
        "Attention", "CausalConvWithState", "DynamicQuantizeLinear", "MeanVarianceNormalization",
    },
}  # fmt: skip
# The other way round: operators that the PyTorch importer expands by ONNX's own function body.
TORCH_EXPANDS = {"AffineGrid"}
# ONNX Runtime's own operators that PyTorch has and that are not rewritten as ONNX's, so that Keras lacks them.
CONTRIBUTED_LACKS = {
    "ONNX has nothing that inverts matrices": {"Inverse"},
    "ONNX crops each box of a number known only when the model runs in a loop alone": {"CropAndResize"},
    "it belongs to the search around a model": {"NGramRepeatBlock"},
}
# The other way round: those that have no function for PyTorch, since they are rewritten as ONNX's for it, too.
TORCH_REWRITES = {"DynamicQuantizeLSTM", "QAttention", "QEmbedLayerNormalization"}

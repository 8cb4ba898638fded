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

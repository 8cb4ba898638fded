"""All operator families; importing this module fills the table."""

from exporters.onnx_to_torch import (
    activation,
    arithmetic,
    attention,
    constant,
    control_flow,
    convolution,
    deformable,
    elementwise,
    fused,
    image,
    indexing,
    linear,
    logic,
    normalization,
    optimizers,
    padding,
    pooling,
    quantization,
    random,
    recurrent,
    reduction,
    resize,
    sequence,
    shape,
    spectral,
    text,
)
from exporters.onnx_to_torch.microsoft import activation as microsoft_activation
from exporters.onnx_to_torch.microsoft import attention as microsoft_attention
from exporters.onnx_to_torch.microsoft import linear as microsoft_linear
from exporters.onnx_to_torch.microsoft import normalization as microsoft_normalization
from exporters.onnx_to_torch.microsoft import quantized as microsoft_quantized
from exporters.onnx_to_torch.microsoft import tensors as microsoft_tensors
from exporters.onnx_to_torch.ml import encoders as ml_encoders
from exporters.onnx_to_torch.ml import linear as ml_linear
from exporters.onnx_to_torch.ml import trees as ml_trees
from exporters.onnx_to_torch.pictures import decoder
from exporters.onnx_to_torch.table import TORCH

__all__ = [
    "TORCH",
    "activation",
    "arithmetic",
    "attention",
    "constant",
    "control_flow",
    "convolution",
    "decoder",
    "deformable",
    "elementwise",
    "fused",
    "image",
    "indexing",
    "linear",
    "logic",
    "microsoft_activation",
    "microsoft_attention",
    "microsoft_linear",
    "microsoft_normalization",
    "microsoft_quantized",
    "microsoft_tensors",
    "ml_encoders",
    "ml_linear",
    "ml_trees",
    "normalization",
    "optimizers",
    "padding",
    "pooling",
    "quantization",
    "random",
    "recurrent",
    "reduction",
    "resize",
    "sequence",
    "shape",
    "spectral",
    "text",
]

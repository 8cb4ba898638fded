"""ONNX's element types as torch's, and arrays of them as tensors."""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch

from toolkit.errors import InvalidGraph

DTYPES = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.DOUBLE: torch.float64,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.BOOL: torch.bool,
    ir.DataType.INT8: torch.int8,
    ir.DataType.INT16: torch.int16,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT64: torch.int64,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.UINT16: torch.uint16,
    ir.DataType.UINT32: torch.uint32,
    ir.DataType.UINT64: torch.uint64,
    ir.DataType.COMPLEX64: torch.complex64,
    ir.DataType.COMPLEX128: torch.complex128,
    ir.DataType.FLOAT8E4M3FN: torch.float8_e4m3fn,
    ir.DataType.FLOAT8E4M3FNUZ: torch.float8_e4m3fnuz,
    ir.DataType.FLOAT8E5M2: torch.float8_e5m2,
    ir.DataType.FLOAT8E5M2FNUZ: torch.float8_e5m2fnuz,
    ir.DataType.FLOAT8E8M0: torch.float8_e8m0fnu,
    # torch packs floats of four bits in pairs and computes with none: they are held in eight, where each is exact
    ir.DataType.FLOAT4E2M1: torch.float8_e4m3fn,
    # torch has no integers of four or two bits: they are held in eight
    ir.DataType.INT4: torch.int8,
    ir.DataType.UINT4: torch.uint8,
    ir.DataType.INT2: torch.int8,
    ir.DataType.UINT2: torch.uint8,
}

# Integers held in a wider dtype: their bits, and the smallest one.
NARROW = {
    ir.DataType.INT4: (4, -8),
    ir.DataType.UINT4: (4, 0),
    ir.DataType.INT2: (2, -2),
    ir.DataType.UINT2: (2, 0),
}

# NumPy has no name of its own for these; their bits travel as integers of the same width.
_BITS = {torch.bfloat16: np.int16, torch.float8_e4m3fn: np.uint8, torch.float8_e4m3fnuz: np.uint8,
         torch.float8_e5m2: np.uint8, torch.float8_e5m2fnuz: np.uint8, torch.float8_e8m0fnu: np.uint8}  # fmt: skip


def dtype_of(number: int, where: str) -> torch.dtype:
    """The torch dtype for a value of TensorProto.DataType."""
    kind = ir.DataType(number)
    if kind not in DTYPES:
        raise InvalidGraph(f"PyTorch has no tensors of type {kind.name}", where=where)
    return DTYPES[kind]


def tensor_of(tensor: ir.TensorProtocol, *, share: bool = False) -> torch.Tensor:
    """`tensor` with the same bits: a copy, unless a pass of ours made it and nobody else holds it.

    With `share`, it stays where it lies, in a file of its own or in the model's: it is read, and never written to.
    """
    dtype = dtype_of(tensor.dtype, f"initializer '{tensor.name}'")
    array = tensor.numpy()
    if share and tensor.dtype == ir.DataType.FLOAT and array.flags.aligned and array.flags.c_contiguous:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it is not to be written to
            return torch.from_numpy(array)
    if not (
        isinstance(tensor, ir.Tensor) and array.flags.owndata and array.flags.writeable and array.flags.c_contiguous
    ):
        array = np.array(array, copy=True, order="C")
    if tensor.dtype == ir.DataType.FLOAT4E2M1:
        array = array.astype(ml_dtypes.float8_e4m3fn)
    if dtype in _BITS:
        return torch.from_numpy(array.view(_BITS[dtype])).view(dtype)
    if tensor.dtype in NARROW:
        array = array.astype(np.int8 if NARROW[tensor.dtype][1] else np.uint8)
    return torch.from_numpy(array)

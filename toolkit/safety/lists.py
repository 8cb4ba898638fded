"""The lists of operators that only compute, and the rules by which they are made from what a framework registers.

`python -m toolkit.safety.lists torch|tensorflow` prints the list that the installed version gives.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent

# --- PyTorch: operators whose texts are names of a mode or values
_MODES = frozenset({
    "approximate", "driver", "equation", "indexing", "interpolation", "mode", "norm", "ord", "p", "pad_mode", "padding",
    "padding_side", "reduce", "rounding_mode", "side", "UPLO", "message", "assert_msg",
})  # fmt: skip
# Texts that are values, which scripts compare, cut and join.
_VALUES = frozenset({
    "self", "a", "b", "el", "item", "l", "key", "s", "string", "substr", "separator", "old", "new", "values",
    "fillchar", "chars", "dict", "input", "inputs", "t", "to_add", "idx", "type", "device_type",
})  # fmt: skip
_TORCH_NEVER = re.compile(r"(^|_)(save|load|file|open|print)|rpc|profile|record_function|cuda_|_test_")
_PRIM = frozenset({
    "NumToTensor", "RaiseException", "StringIndex", "TupleIndex", "Uninitialized", "abs", "data", "device", "dtype",
    "is_cpu", "is_cuda", "is_meta", "is_mkldnn", "is_mps", "is_nested", "is_quantized", "is_sparse", "is_sparse_csr",
    "is_vulkan", "is_xla", "is_xpu", "itemsize", "layout", "max", "min", "nbytes", "requires_grad", "rangelist",
    "tolist", "type", "unchecked_cast", "unchecked_unwrap_optional", "grad", "id", "name", "index",
})  # fmt: skip
_TORCHVISION = (
    "box_iou_rotated", "deform_conv2d", "interpolate", "nms", "ps_roi_align", "ps_roi_pool", "roi_align", "roi_pool",
)  # fmt: skip

# --- TensorFlow: operators without state and without texts, and these ---
_TENSORFLOW_NEVER = re.compile(
    r"^_|Dataset|Reader|Summary|TPU|Xla|Mlir|Rpc|Collective|Nccl|Py|Debug|Dump|Iterator|Session|Dtensor|DTensor|Foo|Risc|"
    r"File|Snapshot|Checkpoint|Remote|Sleep|Copy(To|From)Mesh|Test|Attr|Fact|GraphDef|Stage|Barrier|Mutex|Queue"
)
_TENSORFLOW_STATEFUL = (
    "Assert", "AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp", "Case", "CheckNumerics",
    "CheckNumericsV2", "CudnnRNN", "CudnnRNNBackprop", "CudnnRNNBackpropV2", "CudnnRNNBackpropV3",
    "CudnnRNNV2", "CudnnRNNV3", "DestroyResourceOp", "DisableCopyOnRead", "Empty",
    "GuaranteeConst", "HashTable", "HashTableV2", "If", "InitializeTableV2", "LookupTableExportV2", "LookupTableFindV2",
    "LookupTableImportV2", "LookupTableInsertV2", "LookupTableSizeV2", "Multinomial", "MutableDenseHashTableV2",
    "MutableHashTableOfTensorsV2", "MutableHashTableV2", "ParameterizedTruncatedNormal", "PartitionedCall",
    "RandomGamma", "RandomPoisson", "RandomPoissonV2", "RandomShuffle", "RandomStandardNormal", "RandomUniform",
    "RandomUniformInt", "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "ResourceScatterAdd",
    "ResourceScatterDiv", "ResourceScatterMax", "ResourceScatterMin", "ResourceScatterMul", "ResourceScatterNdAdd",
    "ResourceScatterNdSub", "ResourceScatterNdUpdate", "ResourceScatterSub", "ResourceScatterUpdate",
    "ResourceStridedSliceAssign", "RngReadAndSkip", "RngSkip", "StatefulPartitionedCall", "StatefulStandardNormal",
    "StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulUniform", "StatefulUniformFullInt",
    "StatefulUniformInt", "StatelessRandomGetAlg", "TensorArrayCloseV3", "TensorArrayConcatV3", "TensorArrayGatherV3",
    "TensorArrayGradV3", "TensorArrayReadV3", "TensorArrayScatterV3", "TensorArraySizeV3", "TensorArraySplitV3",
    "TensorArrayV3", "TensorArrayWriteV3", "TruncatedNormal", "VarHandleOp", "VarIsInitializedOp", "Variable",
    "VariableShape", "VariableV2", "While",
)  # fmt: skip
_TENSORFLOW_TEXTS = (
    "AsString", "DecodeAndCropJpeg", "DecodeBase64", "DecodeBmp", "DecodeGif", "DecodeImage", "DecodeJpeg",
    "DecodePaddedRaw", "DecodePng", "DecodeRaw", "EncodeBase64", "LookupTableFind", "LookupTableSize", "ParseExample",
    "ParseExampleV2", "ParseSequenceExampleV2", "ParseSingleExample", "ReduceJoin", "RegexFullMatch", "RegexReplace",
    "StaticRegexFullMatch", "StaticRegexReplace", "StringJoin", "StringLength", "StringLower", "StringNGrams",
    "StringSplit", "StringSplitV2", "StringStrip", "StringToHashBucket", "StringToHashBucketFast",
    "StringToHashBucketStrong", "StringToNumber", "StringUpper", "Substr", "UnicodeDecode", "UnicodeDecodeWithOffsets",
    "UnicodeEncode", "UnicodeScript", "UnicodeTranscode", "UnsortedSegmentJoin",
)  # fmt: skip


@cache
def allowed(framework: str) -> frozenset[str]:
    """The operators of "torch" ("aten::add") or "tensorflow" ("AddV2") that only compute."""
    return frozenset((_FOLDER / f"{framework}.txt").read_text(encoding="ascii").split())


def of_torch() -> list[str]:
    """The list that the installed PyTorch gives."""
    import torch

    texts: dict[str, set[str]] = {}
    for schema in torch._C._jit_get_all_schemas():  # noqa: SLF001 - the only register there is
        found = texts.setdefault(schema.name, set())
        found.update(argument.name for argument in schema.arguments if "str" in str(argument.type))
    names = [name for name, found in texts.items() if name.startswith("aten::") and _computes(name[6:], found)]
    names += [name for name in texts if name.startswith(("quantized::", "sparse::")) and not texts[name]]
    return sorted({*names, *(f"prim::{name}" for name in _PRIM), *(f"torchvision::{name}" for name in _TORCHVISION)})


def _computes(name: str, texts: set[str]) -> bool:
    return not _TORCH_NEVER.search(name) and texts <= _MODES | _VALUES


def of_tensorflow() -> list[str]:
    """The list that the installed TensorFlow gives."""
    from tensorflow.core.framework import op_def_pb2, types_pb2
    from tensorflow.python.client import pywrap_tf_session

    known: Any = op_def_pb2.OpList()
    known.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    registered = {each.name for each in known.op}
    plain = {
        each.name
        for each in known.op
        if not each.is_stateful
        and not any(argument.type == types_pb2.DT_STRING for argument in each.input_arg)
        and not _TENSORFLOW_NEVER.search(each.name)
    }
    return sorted(plain | (registered & {*_TENSORFLOW_STATEFUL, *_TENSORFLOW_TEXTS}))


def main(arguments: Iterable[str]) -> None:
    (framework,) = arguments
    print("\n".join({"torch": of_torch, "tensorflow": of_tensorflow}[framework]()))


if __name__ == "__main__":
    main(sys.argv[1:])

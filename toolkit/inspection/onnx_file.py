"""ONNX files, by their protobuf fields; weights outside are not read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from toolkit import metadata
from toolkit.errors import BadInput, RuntimeMissing
from toolkit.inspection.found import SAFE, Inspection, product, size_of
from toolkit.signature import Signature

_QUANTISING = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")


def onnx_file(path: Path) -> Inspection:
    try:
        import onnx
    except ModuleNotFoundError:
        raise RuntimeMissing("the package 'onnx' is not installed", hint="`toolkit doctor` says what to run.") from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own DecodeError comes without types
        raise BadInput(
            "it is no ONNX file, or a truncated one", where=str(path), hint="Export or copy it again."
        ) from error
    props = {item.key: item.value for item in model.metadata_props}
    declared = metadata.loads(props.get(metadata.KEY))
    external = sorted({e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"})
    domains = {item.domain or "ai.onnx": item.version for item in model.opset_import}
    facts = {"IR": str(model.ir_version), "opsets": ", ".join(f"{name} {v}" for name, v in domains.items())}
    if model.functions:
        facts["functions"] = ", ".join(f"{each.domain}.{each.name}" for each in model.functions)
    if any(node.op_type in _QUANTISING for node in model.graph.node):
        facts["quantised"] = "yes"
    if external:
        facts["external data"] = ", ".join(external)
    return Inspection(
        path,
        "onnx",
        size_of(path),
        SAFE,
        f"{model.producer_name} {model.producer_version}".strip() or None,
        declared[0] if declared else _onnx_signature(path),
        declared[1].labels if declared else (),
        sum(product(tensor.dims) for tensor in model.graph.initializer),
        dict(Counter(node.op_type for node in model.graph.node).most_common()),
        facts=facts,
    )


def _onnx_signature(path: Path) -> Signature | None:
    from exporters.graph import read, signature

    try:
        return signature.signature(read.read(path))
    except BadInput:
        return None

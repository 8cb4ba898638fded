"""Write any opened model as ONNX, with float32 weights bit-equal to the source's: nothing is folded on the way.

PyTorch goes through torch.onnx (the torch.export-based exporter first, then the older one), TensorFlow and Keras go
through tf2onnx on a frozen graph, ONNX through cleaning alone. Each way is a strategy; the caller tries them in order.
"""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exporters import targets
from exporters.options import ExportOptions
from exporters.sources import examples
from toolkit import formats
from toolkit.causes import said
from toolkit.contract import Contract
from toolkit.errors import BadInput, ExportFailed
from toolkit.pipeline import Pipeline
from toolkit.runtime.onnx_runner import OnnxRunner
from toolkit.runtime.runner import Runner
from toolkit.runtime.savedmodel_runner import TensorFlowRunner
from toolkit.runtime.torchscript_runner import TorchRunner, arguments, to_tensor
from toolkit.signature import Signature, leaves, unflatten

NEWEST_OPSET = 23
_TORCH_DYNAMO_FLOOR = 18
_ALLOWZERO = 14  # since when a Reshape can be told that a size of 0 is meant
_LONGEST = 2**20  # an upper bound for a dimension that declares none: torch.export wants one to keep it free
INLINE_BYTES = 1_900_000_000  # protobuf's limit is 2 GiB for the whole file

_LARGEST_MOVED = 2**31
_SHARED = 64  # elements; a smaller tensor costs nothing twice

Strategy = Callable[[Any, Path, ExportOptions], None]


def strategies(model: Runner) -> dict[str, Strategy]:
    """The ways to write this model, best first."""
    if isinstance(model, TorchRunner):
        if "ScriptModule" in type(model.module).__name__:
            return {"torch.onnx (TorchScript-based)": _from_torch_older}
        return {
            "torch.onnx (torch.export-based)": _from_torch,
            "torch.onnx (TorchScript-based, scripted)": _from_torch_scripted,
            "torch.onnx (TorchScript-based, traced)": _from_torch_older,
        }
    if isinstance(model, TensorFlowRunner):
        return {"tf2onnx": _from_tensorflow}
    return {"onnx": _from_onnx}


def check_options(options: ExportOptions) -> None:
    """Raise BadInput for an opset that cannot be written, or that the target cannot read."""
    if options.target is not None and options.opset > targets.parse(options.target).opset:
        newest = targets.parse(options.target).opset
        raise BadInput(
            f"opset {options.opset} is newer than {options.target} reads (up to {newest})", where="--opset",
            hint="Leave it out: the target chooses.",
        )  # fmt: skip
    if not 7 <= options.opset <= NEWEST_OPSET:
        raise BadInput(
            f"opset {options.opset} is outside what can be written (7 to {NEWEST_OPSET})", where="--opset",
            hint="18 is read by every ONNX Runtime since 1.14.",
        )  # fmt: skip


def _from_torch(model: TorchRunner, path: Path, options: ExportOptions) -> None:
    """The exporter that is based on torch.export; weights stay as they are because its optimizer stays off."""
    import torch

    from exporters.torch_to_onnx import spelled_out

    args, kwargs = _example(model)
    signature = model.signature
    with _quiet(), spelled_out():
        program = torch.onnx.export(
            model.module,
            _closed(args, kwargs),
            None,
            dynamo=True,
            optimize=False,
            verbose=False,
            opset_version=max(options.opset, _TORCH_DYNAMO_FLOOR),
            input_names=list(signature.input_names),
            output_names=list(signature.output_names),
            dynamic_shapes=_dynamic_shapes(torch, model),
        )
    assert program is not None
    graph = program.model
    if signature.symbols:
        graph = _without_sizes_of_the_example(graph, signature)
    _save(graph, model, path, options)


def _without_sizes_of_the_example(graph: Any, signature: Signature) -> Any:
    """The graph without the example's sizes that it notes within and that do not follow from its inputs.

    Where a network shrinks the example to a point, torch.export may take 1 for a size that is free, and behind a
    recurrent layer the example's number of steps; ONNX Runtime plans its memory by such notes and computes nonsense at
    every other size. A batch of 2 it never takes for fixed, and there are true sizes of 2 in many networks.
    """
    from exporters.graph import clean, sizes

    taken = {1, *examples.sizes(signature, 0).values()} - {2}
    noted = clean.forget_shapes(graph)
    graph = clean.infer_shapes(graph)
    for value, shape in noted.items():
        sizes.fill(value, [None if size in taken else size for size in shape])
    return graph


def _dynamic_shapes(torch: Any, model: TorchRunner) -> Any:
    """The inputs' structure with {axis: Dim} at its leaves: a Dim with bounds raises where tracing would bake it in.

    Where `forward` takes `*args` or `**kwargs`, these are arguments of their own, which hold what was given.
    """
    signature = model.signature
    dims = {symbol: _dim(torch, signature, symbol) for symbol in signature.symbols}
    leaves = {
        spec.name: {axis: dims[symbol] for axis, symbol in spec.dynamic_dims.items()} for spec in signature.inputs
    }
    takes = inspect.signature(model.module.forward)
    if any(item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD) for item in takes.parameters.values()):
        args, kwargs = arguments(signature, leaves)
        return dict(takes.bind(*args, **kwargs).arguments)
    return unflatten(signature.input_structure, leaves)


def _dim(torch: Any, signature: Signature, symbol: str) -> Any:
    multiple, longest = signature.multiple(symbol), signature.limit(symbol) or _LONGEST
    if multiple == 1:
        return torch.export.Dim(symbol, min=1, max=longest)
    return multiple * torch.export.Dim(f"{symbol}_parts", min=1, max=max(longest // multiple, 1))


def _from_torch_scripted(model: TorchRunner, path: Path, options: ExportOptions) -> None:
    """The older exporter on the scripted module: Python's control flow becomes If and Loop, and is not baked in."""
    import torch

    with _quiet():
        scripted = torch.jit.script(model.module)
    _from_torch_older(model, path, options, scripted)


def _from_torch_older(model: TorchRunner, path: Path, options: ExportOptions, module: Any = None) -> None:
    """The older exporter, based on TorchScript; it knows recurrent layers with a free sequence length."""
    import onnx_ir as ir
    import torch

    from exporters import script_to_onnx
    from exporters.script_to_onnx import flat
    from exporters.torch_to_onnx import spelled_out

    script_to_onnx.register()
    args, kwargs = _example(model)
    signature, module = model.signature, module or model.module
    inputs, outputs = list(signature.input_names), list(signature.output_names)
    if "ScriptModule" in type(module).__name__ and not flat.is_flat(module, signature):
        inputs, outputs = list(leaves(signature.input_structure)), list(leaves(signature.output_structure))
        module, kwargs, values = flat.flatten(module, signature), {}, _example_tensors(model)
        args = tuple(values[name] for name in inputs)
    specs = (*signature.inputs, *signature.outputs)
    with _quiet(), spelled_out(torch.lstm):  # with projections it is refused, and spelled out where it is traced
        torch.onnx.export(
            module,
            _closed(args, kwargs),
            str(path),
            dynamo=False,
            # Constants stay as they are, and no BatchNormalization is folded away: speed is the runtime's business.
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            opset_version=min(options.opset, 20),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={spec.name: spec.dynamic_dims for spec in specs if spec.dynamic_dims},
        )
    _save(ir.load(path), model, path, options)


def _example(model: TorchRunner) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return arguments(model.signature, _example_tensors(model))


def _closed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Arguments as torch.onnx takes them: a dict at the end is the keywords, even where it was meant as an argument."""
    return (*args, kwargs) if kwargs or (args and isinstance(args[-1], dict)) else args


def _example_tensors(model: TorchRunner) -> dict[str, Any]:
    import torch

    signature = model.signature
    if not signature.inputs:
        raise ExportFailed(
            "the file does not say what its inputs are", where="source", hint="Describe them with --input."
        )
    values = examples.arrays(signature, examples.sizes(signature, 0), like=model.given)
    return {name: to_tensor(torch, array, "cpu") for name, array in values.items()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters talk of their own future and progress; what matters reaches the user as an error or a note."""
    import io
    import logging

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _from_tensorflow(model: TensorFlowRunner, path: Path, options: ExportOptions) -> None:
    """tf2onnx on the frozen graph of the model's one concrete function."""
    from exporters import weights
    from exporters.graph import clean, from_tensorflow, interface, patterns, recurrent, tensorflow_graph, transposes

    frozen = tensorflow_graph.freeze(model.function, model.signature)
    with _quiet():
        graph = _moved(from_tensorflow.to_onnx(frozen, options.opset))
        graph = recurrent.recover(clean.infer_shapes(graph))
        patterns.apply(graph, for_file=True)
        graph = _moved(transposes.reduce_transposes(clean.infer_shapes(graph)))
    interface.name_weights(graph, dict(weights.of_runner(model)))
    _save(graph, model, path, options)


def _from_onnx(model: OnnxRunner, path: Path, options: ExportOptions) -> None:
    from exporters.graph import read

    _save(read.read(model.path), model, path, options)


def _save(graph: Any, model: Runner, path: Path, options: ExportOptions) -> None:
    """Clean, check, raise the opset where a higher one is asked for, complete the interface and write."""
    from onnx_ir.passes import common

    from exporters.graph import identities, nothing_found, opsets, pad_guard, sum_guard

    identities.remove(graph)
    names = _names_before_moving(graph)
    graph = _moved(graph)
    graph = common.RemoveUnusedNodesPass()(graph).model
    _name_moved(graph, names)
    if options.exact_opset or not isinstance(model, OnnxRunner):  # a file keeps its own where no other was asked for
        graph = opsets.raised(graph, options.opset)
    written = opsets.opset_of(graph, options.opset)
    if options.exact_opset and written != options.opset:
        raise ExportFailed(
            f"it writes opset {written}, and {options.opset} was asked for", hint="There is no lossless way down."
        )
    _forget_unused_domains(graph)
    graph = _runnable_in_few_bits(graph)
    pad_guard.guard(graph)
    if not isinstance(model, OnnxRunner):  # a file stays as it came: its reader computes as its source does
        sum_guard.guard(graph)
    if graph.opset_imports.get("", 0) >= _ALLOWZERO:
        nothing_found.guard(graph)
    if not options.source_lines:
        _forget_lines(graph)
    save(graph, path, model.signature, model.contract, options.target)


def _runnable_in_few_bits(graph: Any) -> Any:
    """ONNX Runtime computes in float16 on every device, but for a crash; in bfloat16 hardly anything on the CPU.

    So the weights stay what they are, and what was computed in bfloat16 is computed in float32.
    """
    import onnx_ir as ir

    from exporters.graph import clean, half_guard
    from exporters.precision import widen

    if not widen.mentions(graph):
        return graph
    graph = clean.infer_shapes(graph)
    half_guard.guard(graph)
    ends = {value.dtype for value in (*graph.graph.inputs, *graph.graph.outputs)}
    if ir.DataType.BFLOAT16 in widen.dtypes_within(graph) | ends:
        graph = widen.widen(graph, {ir.DataType.BFLOAT16}, store=True)
    return graph


def put_before(path: Path, pipeline: Pipeline, signature: Signature, contract: Contract) -> None:
    """Put a pipeline before a written model, which then takes raw pictures as `signature` says."""
    from exporters.graph import pictures, read

    graph = read.read(path)
    assert pipeline.input is not None
    pictures.prepend(graph, pipeline, pipeline.input)
    save(graph, path, signature, contract)


def save(graph: Any, path: Path, signature: Signature, contract: Contract, target: str | None = None) -> None:
    """Give a graph its source's interface, write it (weights outside where they are large) and have it checked.

    Raises ExportFailed for a graph that its target cannot read, naming the nodes.
    """
    import onnx_ir as ir

    from exporters.graph import interface

    interface.finish(graph, formats.by_name("onnx").interface(signature), contract)
    wanted = targets.parse(target) if target else None
    if wanted is not None:
        graph.ir_version = min(graph.ir_version, wanted.ir)
    size = sum(value.const_value.nbytes for value in graph.graph.initializers.values() if value.const_value is not None)
    external = f"{path.name}.data" if size > INLINE_BYTES else None
    if external is None:
        ir.external_data.load_to_model(graph)  # a source may keep even small weights outside
    ir.save(graph, path, external_data=external)
    _check(path)
    found = targets.troubles(path, wanted) if wanted is not None else []
    if found:
        raise ExportFailed("; ".join(found), hint="Choose a newer release of the target, or another operator.")


def _forget_lines(graph: Any) -> None:
    """Remove the stack traces that PyTorch's exporter leaves: they hold paths of the machine that it ran on."""
    for node in graph.graph.all_nodes():
        node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)


def _forget_unused_domains(graph: Any) -> None:
    """tf2onnx declares ai.onnx.ml whether or not a node needs it; an app would look for operators it may not have."""
    used = {node.domain for node in graph.graph.all_nodes()} | {domain for domain, _, _ in graph.functions} | {""}
    for domain in set(graph.opset_imports) - used:
        del graph.opset_imports[domain]


_SHARING = frozenset({"Concat", "Gather", "Slice", "Split"})  # of `_MOVING`: what comes out is not the whole weight
# Operators that only move elements about: done now, on weights, they change no bit and save every call the work.
_MOVING = frozenset({"Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
                     "Transpose", "Unsqueeze"})  # fmt: skip


def _moved(graph: Any) -> Any:
    """The graph with its weights where the exporter wanted them: reordered gates, transposed kernels, joined halves."""
    from onnxscript import optimizer

    optimizer.fold_constants(
        graph,
        onnx_shape_inference=False,
        input_size_limit=_LARGEST_MOVED,
        output_size_limit=_LARGEST_MOVED,
        should_fold=_may_fold,
    )
    return graph


def _names_before_moving(graph: Any) -> dict[str, str]:
    """The names of weights whose elements an operator moves, by the names of what comes out."""
    names: dict[str, str] = {}
    for node in graph.graph:
        given = node.inputs[0] if node.inputs else None
        if node.op_type not in _MOVING or node.op_type in _SHARING or given is None:
            continue
        if given.is_initializer() or given.name in names:
            names[node.outputs[0].name] = names.get(given.name, given.name)
    return names


def _name_moved(graph: Any, names: dict[str, str]) -> None:
    """Give weights that were moved for good the name that they had before: PyTorch's exporter names them "val_7"."""
    weights = graph.graph.initializers
    for name, before in names.items():
        if name in weights and before not in weights:
            weights[name].name = before


def _may_fold(node: Any) -> bool | None:
    """Yes to what moves elements, no to arithmetic on floats, and the optimizer's own rules for shapes and indices."""
    if node.op_type in _MOVING:
        return not any(_stays(value, node) for value in node.inputs if value is not None)
    dtypes = [value.const_value.dtype for value in node.inputs if value is not None and value.const_value is not None]
    return False if any(dtype.is_floating_point() for dtype in dtypes) else None


def _stays(value: Any, node: Any) -> bool:
    """Whether a weight is in the file for another node's sake: moved for this one, it would be there twice.

    Such is an embedding that is the output layer too. The other node needs the weight as it is, unless it is folded.
    """
    if value.const_value is None or value.const_value.size < _SHARED:
        return False
    others = [use.node for use in value.uses() if use.node is not node]
    return any(other.op_type not in _MOVING or not all(map(_is_constant, other.inputs)) for other in others)


def _is_constant(value: Any) -> bool:
    return value is None or value.const_value is not None


def _check(path: Path) -> None:
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:
        raise ExportFailed(f"the exporter wrote a graph that ONNX's checker refuses ({said(error)})") from error

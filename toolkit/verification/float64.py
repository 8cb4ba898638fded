"""The same model in float64, on the same float32 weights: the truth of a source, and the second lens on an export.

PyTorch modules and TorchScript are converted as they are; TensorFlow and Keras models as rewritten graphs; ONNX files
are rebuilt by our importer in PyTorch. Where a part stays in float32, that is not the truth, and an error says so.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from exporters.precision.kinds import FULL
from exporters.sources import examples
from exporters.sources.preprocessed import PreprocessedRunner
from toolkit.errors import Inconclusive
from toolkit.pipeline import Pipeline
from toolkit.runtime import pictures
from toolkit.runtime.onnx_runner import OnnxRunner
from toolkit.runtime.runner import Arrays, Runner
from toolkit.runtime.savedmodel_runner import TensorFlowRunner
from toolkit.runtime.torchscript_runner import TorchRunner, arguments, fetch_outputs, to_tensor
from toolkit.signature import Signature
from toolkit.worker.wire import is_float

Array = np.ndarray[Any, Any]
Call = Callable[[Mapping[str, Array]], dict[str, Array]]

_WORDS = "string"  # the dtype of inputs that take them


class Float64Model:
    """A model that computes in float64. `how` says how it was made, for the report.

    `precision` is the model's own, where it computes in fewer bits than its float32 outputs have.
    `plain` is True where the model is seen to compute in float32 or more all through.
    `exact` is False where a part of it computes in float32 all the same: another float64 run may differ by as much.
    """

    def __init__(
        self,
        signature: Signature,
        how: str,
        call: Call,
        *,
        widen: bool = True,
        exact: bool = True,
        precision: str = FULL,
    ) -> None:
        self.plain = False
        self.signature = signature
        self.exact = exact
        self.precision = precision
        self.how = how
        self._call = call
        self._widen = widen

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Float inputs are widened; float outputs come back as float64. Raises Inconclusive where one does not."""
        outputs = self._call({name: _widened(array) for name, array in inputs.items()} if self._widen else inputs)
        for name, array in outputs.items():
            if is_float(array.dtype) and array.dtype != np.float64:
                raise Inconclusive(f"output '{name}' came back as {array.dtype}: a part of the model stays in float32")
        return outputs


def _widened(array: Array) -> Array:
    return array.astype(np.float64) if is_float(array.dtype) else array


def of_runner(runner: Runner, like: Arrays | None = None, *, few_bits: bool | None = None) -> Float64Model:
    """An opened model in float64, in the process that holds it. Raises Inconclusive where there is no way.

    `like` are inputs that it is known to take, where not every integer will do. `few_bits` says whether what computes
    in fewer bits than float32's is the model's own precision, which its truth has not; left out, it is where weights or
    interface say so. A float32 model that rounds on the way is none of this kind: it would make every file look right.
    """
    if isinstance(runner, PreprocessedRunner):
        return _behind_pipeline(runner, of_runner(runner.inner, like, few_bits=few_bits), np.float64)
    if isinstance(runner, TorchRunner):
        return _of_torch(runner, like or runner.given, few_bits=few_bits)
    if isinstance(runner, TensorFlowRunner):
        return _of_tensorflow(runner)
    if isinstance(runner, OnnxRunner):
        return of_onnx(runner.path, runner.signature, like=like, few_bits=few_bits)
    raise Inconclusive(f"a {type(runner).__name__} has no float64 form")


def _behind_pipeline(runner: PreprocessedRunner, inner: Float64Model, dtype: type) -> Float64Model:
    def call(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return inner.run(runner.preprocessed(inputs, dtype))

    return Float64Model(runner.signature, f"{inner.how}, behind the pipeline", call, widen=False, exact=inner.exact)


def _bits_of(runner: TorchRunner, like: Arrays) -> tuple[bool, str]:
    """Whether a run makes nothing of fewer bits than float32's, told by its tensors; else the precision it has."""
    from toolkit.verification.narrowing import Halves, rounds_within

    with Halves() as halves:
        call_torch(runner, runner.module, examples.arrays(
            runner.signature, examples.sizes(runner.signature, 0), like=like
        ))  # fmt: skip
    # A GPU may round to fewer bits within an operator, and so may a CPU that is told to: no tensor shows that.
    hidden = runner.ran_on != "cpu" or rounds_within()
    return not halves.seen and not hidden, halves.precision


def _declares_few_bits(runner: TorchRunner) -> bool:
    """Whether weights, inputs or outputs are in float16 or bfloat16."""
    weights = (str(tensor.dtype) for tensor in (*runner.module.parameters(), *runner.module.buffers()))
    ends = (spec.dtype for spec in (*runner.signature.inputs, *runner.signature.outputs))
    return any(dtype.removeprefix("torch.") in ("float16", "bfloat16") for dtype in (*weights, *ends))


def _of_torch(runner: TorchRunner, like: Arrays, *, few_bits: bool | None) -> Float64Model:
    plain, precision = _bits_of(runner, like)
    if not (_declares_few_bits(runner) if few_bits is None else few_bits):
        precision = FULL
    how = f"the {runner.runtime} model in float64"
    shared = _with_its_weights(runner.module)
    model = _streamed(runner.signature, like, partial(call_torch, runner, shared), shared, how, precision)
    if model is None:
        module = _scalars_as_float32(copy.deepcopy(runner.module)).double()
        model = _widest(runner.signature, like, partial(call_torch, runner, module), how, precision)
    model.plain = plain
    return model


def _with_its_weights(module: Any) -> Any:
    """A copy of a module that shares its weights, with scalars of its own; a TorchScript module as it is."""
    if "ScriptModule" in type(module).__name__:
        return module
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return _scalars_as_float32(copy.deepcopy(module, shared))


def _streamed(
    signature: Signature, like: Arrays, call: Call, module: Any, how: str, precision: str = FULL
) -> Float64Model | None:
    """A large module in float64 without a copy of its weights; None for a small one, or one that does not go so."""
    from toolkit.verification.streamed import LARGE, Streamed, size_of

    if size_of(module) < LARGE:
        return None

    def streamed(inputs: Mapping[str, Array]) -> dict[str, Array]:
        with Streamed(module):
            return call(inputs)

    try:
        return _widest(signature, like, streamed, f"{how}, its weights widened one by one", precision)
    except (RuntimeError, TypeError, ValueError):  # a layer that compares its weights' dtype with its input's
        return None


def _widest(signature: Signature, like: Arrays, call: Call, how: str, precision: str = FULL) -> Float64Model:
    """A module in float64 all through, where need be by widening what it casts to float32 on its way.

    In one whose own `precision` is another, what it casts to fewer bits is widened too.
    Raises RuntimeError for one that mixes the two, and would not take float64 for the float32 that it asks for.
    """
    if precision != FULL:
        widened = partial(_without_narrowing, call, halves=True)
        exact = not _narrows(signature, like, widened)
        words = f"{how}, casts to {precision} in it widened"
        return Float64Model(signature, words, widened, exact=exact, precision=precision)
    mixed: RuntimeError | None = None
    try:
        if not _narrows(signature, like, call):
            return Float64Model(signature, how, call)
    except RuntimeError as error:  # float32 made of integers met weights in float64
        mixed = error
    widened = partial(_without_narrowing, call)
    with contextlib.suppress(RuntimeError):  # what asks for float32 by name may not take anything else
        if not _narrows(signature, like, widened):
            return Float64Model(signature, f"{how}, casts to float32 in it widened", widened)
    if mixed is not None:
        raise mixed
    return Float64Model(signature, f"{how}, but for parts of it that insist on float32", call, exact=False)


def _without_narrowing(call: Call, inputs: Mapping[str, Array], *, halves: bool = False) -> dict[str, Array]:
    from toolkit.verification.narrowing import Widen

    with Widen(halves=halves):
        return call(inputs)


def _narrows(signature: Signature, like: Arrays, call: Call) -> bool:
    """Whether a module makes float32 of float64 on its way: some normalisations are written so."""
    from toolkit.verification.narrowing import Watch

    values = examples.arrays(signature, examples.sizes(signature, 0), like=like)
    with Watch() as watch:
        call({name: _widened(array) for name, array in values.items()})
    return bool(watch.narrowed)


def _scalars_as_float32(module: Any) -> Any:
    """Round the modules' own scalars (epsilon, slope, means) to float32, as its float32 kernels and every file do.

    Left in Python's float64 they would differ from the export's by 1e-8 of themselves, and hide smaller mistakes.
    """
    if "ScriptModule" in type(module).__name__:
        return module
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, float):
                setattr(part, name, float(np.float32(value)))
            elif type(value) in (list, tuple) and value and all(isinstance(item, float) for item in value):
                setattr(part, name, type(value)(float(np.float32(item)) for item in value))
    return module


_ESTIMATES = 8


def estimate_of(runner: Runner) -> Float64Model:
    """The mean of several float32 runs with every weight moved by up to 1 ULP: their rounding errors cancel in it.

    For a model that insists on float32 somewhere. It is no exact truth: good for measuring noise, and not for comparing
    two runs in float64.
    """
    if isinstance(runner, PreprocessedRunner):
        return _behind_pipeline(runner, estimate_of(runner.inner), np.float32)
    calls = _moved_calls(runner)

    def call(inputs: Mapping[str, Array]) -> dict[str, Array]:
        runs = [moved(inputs) for moved in calls()]
        return {name: _mean([run[name] for run in runs]) for name in runs[0]}

    how = f"the mean of {_ESTIMATES} float32 runs with every weight moved by up to 1 ULP (it has no float64 form)"
    return Float64Model(runner.signature, how, call, widen=False)


def _moved_calls(runner: Runner) -> Callable[[], Iterable[Call]]:
    """What gives the model several times, with other weights each; a large one is made when its turn comes."""
    if isinstance(runner, TorchRunner):
        from toolkit.verification.streamed import LARGE, size_of

        if size_of(runner.module) < LARGE:
            kept = [_moved(runner.module, seed) for seed in range(_ESTIMATES)]
            return lambda: [partial(call_torch, runner, module) for module in kept]
        return lambda: (partial(call_torch, runner, _moved(runner.module, seed)) for seed in range(_ESTIMATES))
    if isinstance(runner, TensorFlowRunner):
        from exporters.graph import tensorflow_graph
        from toolkit.verification import tensorflow_estimate

        frozen = tensorflow_graph.freeze(runner.function, runner.signature)
        calls = tensorflow_estimate.callables_of(frozen, _ESTIMATES)
        return lambda: calls
    raise Inconclusive(f"a {type(runner).__name__} has no weights that could be moved")


def _moved(module: Any, seed: int) -> Any:
    import torch

    moved = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*moved.parameters(), *moved.buffers()):
            if tensor.is_floating_point():
                step = torch.randint(-1, 2, tensor.shape, generator=generator).to(tensor.device, tensor.dtype)
                tensor.copy_(torch.nextafter(tensor, tensor + step * (tensor.abs() + 1)).where(step != 0, tensor))
    return moved


def _mean(arrays: list[Array]) -> Array:
    if not is_float(arrays[0].dtype):
        return arrays[0]
    mean: Array = np.mean([array.astype(np.float64) for array in arrays], axis=0)
    return mean


def call_torch(runner: TorchRunner, module: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    import torch

    tensors = {name: to_tensor(torch, array, runner.ran_on) for name, array in inputs.items()}
    args, kwargs = arguments(runner.signature, tensors)
    with torch.inference_mode():
        return fetch_outputs(runner.signature, module(*args, **kwargs))


def _of_tensorflow(runner: TensorFlowRunner) -> Float64Model:
    from exporters.graph import tensorflow_graph
    from toolkit.verification import tensorflow_float64

    frozen = tensorflow_graph.freeze(runner.function, runner.signature)
    call = tensorflow_float64.callable_of(frozen)
    own = tensorflow_float64.own_precision(frozen, runner.signature)
    return Float64Model(runner.signature, f"the {runner.runtime} graph rewritten in float64", call, precision=own)


def of_onnx(
    given: Any,
    signature: Signature,
    pipeline: Pipeline | None = None,
    like: Arrays | None = None,
    *,
    few_bits: bool | None = None,
) -> Float64Model:
    """An ONNX graph, or a path to one, rebuilt in PyTorch by our importer, behind a pipeline if any; belongs into the
    torch worker.
    """
    module, run, precision = _rebuilt(given, signature, pipeline, np.float64, few_bits=few_bits)
    how = "the ONNX graph rebuilt in PyTorch in float64"
    streamed = _streamed(signature, like or {}, partial(run, module), module, how)
    model = streamed or _widest(signature, like or {}, partial(run, module.double()), how)
    model.precision = precision
    return model


class Rebuilt:
    """An ONNX file, rebuilt in PyTorch, in the precision that it has."""

    def __init__(self, path: Path, signature: Signature, pipeline: Pipeline | None) -> None:
        self.signature = signature
        self._module, self._run, _ = _rebuilt(path, signature, pipeline, np.float32)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._run(self._module, inputs)


def _rebuilt(
    given: Any, signature: Signature, pipeline: Pipeline | None, dtype: type, *, few_bits: bool | None = False
) -> tuple[Any, Callable[[Any, Mapping[str, Array]], dict[str, Array]], str]:
    """The module of an ONNX file, what runs it behind a pipeline in that dtype, and the graph's own precision.

    A graph of fewer bits than float32's is rebuilt without its rounding, if `few_bits` or, left out, its weights or
    interface say that this is its precision.
    """
    import torch

    from exporters import onnx_to_torch
    from exporters.graph import read, words
    from exporters.precision import widen

    flat = Signature(signature.inputs, signature.outputs)
    names, look_up = list(signature.input_names), None  # PyTorch has no words: ONNX's reference looks them up
    if any(spec.dtype == _WORDS for spec in signature.inputs):
        divided = words.divide(read.read(given))
        given, look_up = divided.rest, divided.look_up
        names = [str(value.name) for value in given.graph.inputs]

    def run(module: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if pipeline is not None and pipeline.input is not None:
            inputs = {**inputs, pipeline.input: pictures.apply(pipeline, inputs[pipeline.input], dtype)}
        if look_up is not None:
            inputs = {**inputs, **look_up(inputs)}
        tensors = [to_tensor(torch, inputs[name], "cpu") for name in names]
        with torch.inference_mode():
            return fetch_outputs(flat, module(*tensors))

    precision = FULL
    if few_bits is not False:
        graph = read.read(given)
        if few_bits or widen.declares(graph):
            precision = widen.precision_of(graph)
            given = given if precision == FULL else widen.widen(graph)
    return onnx_to_torch.build(given, share=True).eval(), run, precision

"""The source as it would be in fewer bits: the yardstick for a file of reduced precision.

The source's float32 ONNX graph is rebuilt in PyTorch and run in float64, with every weight and every operator's result
rounded to the precision: to 11 bits of mantissa for fp16, 8 for bf16. For int8 it is the weights, operands and results
of products and convolutions, to 256 steps over the range that calibration data gave them; where one of the files
computes in integers alone (LiteRT), of every operator. Nothing overflows here: a file that does, where the source does
not, is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx

from exporters.graph import clean, expand, fold_batchnorm, read
from exporters.onnx_to_torch.builder import Builder
from exporters.onnx_to_torch.operators import TORCH
from exporters.precision import widen
from toolkit.runtime.torchscript_runner import fetch_outputs, to_tensor
from toolkit.signature import Signature

Array = np.ndarray[Any, Any]
Ranges = dict[tuple[str, int], tuple[float, float]]  # by node and operand

_MANTISSA = {"fp16": 11, "bf16": 8}
_MEASURES = frozenset({"shape", "shape_of", "size", "to_ints", "to_int"})
_CONVOLUTIONS = frozenset({"conv", "conv1d", "conv2d", "conv3d"})
_TRANSPOSED = frozenset({"conv_transpose", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"})
_PRODUCTS = frozenset({"linear", "gemm", "matmul", "mm", "bmm", "addmm", "baddbmm"}) | _CONVOLUTIONS | _TRANSPOSED
# Between products: quantised too, so that 8-bit kernels meet.
_BETWEEN = frozenset({"add", "relu", "cat", "concat", "joined", "clip", "clamp", "leaky_relu"})
_LEVELS = 255.0
# Results whose range LiteRT's specification of 8-bit quantisation fixes, whatever the data say.
_FIXED = {"softmax": (0.0, 255 / 256), "log_softmax": (-255 / 16, 0.0), "sigmoid": (0.0, 255 / 256),
          "tanh": (-1.0, 127 / 128)}  # fmt: skip
_MATRIX = 2


class RoundedModel:
    """A graph that rounds as it goes. `run` takes float32 and gives float32, as the file does."""

    def __init__(self, path: Path, signature: Signature, precision: str, *, integers: bool = False) -> None:
        self.signature = signature
        self.how = f"the source rounded to {precision} operator by operator"
        self._module = _built(path)
        self._precision = precision
        self._integers = integers
        self._ranges: Ranges = {}

    def calibrate(self, batches: Sequence[Mapping[str, Array]]) -> None:
        """Learn the ranges of int8 from float runs; the other precisions have none."""
        if self._precision == "int8":
            for batch in batches:
                self._call(batch, _Watching(self._module, self._ranges, integers=self._integers))

    def exact(self) -> ExactModel:
        return ExactModel(self)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        runner = (
            _Quantising(self._module, self._ranges, integers=self._integers)
            if self._precision == "int8"
            else _Rounding(self._module, _MANTISSA[self._precision])
        )
        outputs = self._call(inputs, runner)
        return {
            name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in outputs.items()
        }

    def _call(self, inputs: Mapping[str, Array], runner: fx.Interpreter) -> dict[str, Array]:
        wide = [to_tensor(torch, _widened(inputs[name]), "cpu") for name in self.signature.input_names]
        flat = Signature(self.signature.inputs, self.signature.outputs)
        with torch.no_grad():
            return fetch_outputs(flat, runner.run(*wide))


class ExactModel:
    """The same graph in float64 without any rounding: it must be the source, or it is no yardstick."""

    def __init__(self, rounded: RoundedModel) -> None:
        self.signature = rounded.signature
        self._rounded = rounded

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        model = self._rounded
        return model._call(inputs, fx.Interpreter(model._module))  # noqa: SLF001 - one model in two forms


def _built(path: Path) -> fx.GraphModule:
    """The graph as it is spelled, its normalisations folded as the exporter folds them; nothing is fused."""
    model = clean.clean(widen.widened(read.read(path)))  # a source of few bits rounds where this does
    fold_batchnorm.fold_batchnorm(model)
    if TORCH.missing(model):
        model = clean.clean(expand.expand(model, lambda node, within: TORCH.lookup_node(node, within) is None))
    TORCH.require(model, path.name)
    return Builder(model, path.name).build().eval().double()


def _widened(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


class _Tracking(fx.Interpreter):
    """Knows which results are made of sizes alone: these are never rounded, or shapes would change."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.measures = _made_of_sizes(module)

    def rounds(self, node: fx.Node, result: Any) -> bool:
        return isinstance(result, torch.Tensor) and result.is_floating_point() and node not in self.measures


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def _made_of_sizes(module: fx.GraphModule) -> set[fx.Node]:
    """Results that depend on the inputs by their shapes alone."""
    found: set[fx.Node] = set()
    for node in module.graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        inputs = [item for item in node.all_input_nodes if item.op != "get_attr"]
        if node.op != "get_attr" and (_name(node) in _MEASURES or all(item in found for item in inputs)):
            found.add(node)
    return found


class _Rounding(_Tracking):
    """Every float result rounded to some bits of mantissa."""

    def __init__(self, module: fx.GraphModule, bits: int) -> None:
        super().__init__(module)
        self.bits = bits

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "output":
            return result
        if self.rounds(n, result):
            return rounded(result, self.bits)
        if isinstance(result, tuple):
            return tuple(rounded(item, self.bits) if self.rounds(n, item) else item for item in result)
        return result


def rounded(values: torch.Tensor, bits: int) -> torch.Tensor:
    """To the nearest number of that many bits of mantissa, halves to even; of any magnitude."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2.0**bits), exponent - bits).where(torch.isfinite(values), values)


class _Operands(_Tracking):
    """Comes by every operand and result that int8 rounds: position -1 is the result.

    With `integers` every result is rounded, as where nothing is computed in floats.
    """

    def __init__(self, module: fx.GraphModule, *, integers: bool) -> None:
        super().__init__(module)
        self.integers = integers

    def met(self, node: fx.Node, place: int, value: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def run_node(self, n: fx.Node) -> Any:
        name = _name(n)
        known = name in _PRODUCTS or name in _BETWEEN or self.integers
        if n.op != "call_function" or n in self.measures or not known:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if name in _PRODUCTS:
            given = [*args]
            for place in (0, 1):
                if place < len(given) and isinstance(given[place], torch.Tensor):
                    source = n.args[place]
                    weight = isinstance(source, fx.Node) and source.op == "get_attr"
                    given[place] = (
                        per_channel(given[place], _channel(n)) if weight else self.met(n, place, given[place])
                    )
            args = tuple(given)
        result = self.call_function(n.target, args, kwargs)
        return self.met(n, -1, result) if self.rounds(n, result) else result


class _Watching(_Operands):
    """Learns the ranges."""

    def __init__(self, module: fx.GraphModule, ranges: Ranges, *, integers: bool) -> None:
        super().__init__(module, integers=integers)
        self.ranges = ranges

    def met(self, node: fx.Node, place: int, value: torch.Tensor) -> torch.Tensor:
        if value.numel():
            low, high = self.ranges.get((node.name, place), (0.0, 0.0))
            self.ranges[node.name, place] = (min(low, float(value.min())), max(high, float(value.max())))
        return value


class _Quantising(_Watching):
    """Rounds to 256 steps over a range."""

    def met(self, node: fx.Node, place: int, value: torch.Tensor) -> torch.Tensor:
        low, high = self.ranges.get((node.name, place), (0.0, 0.0))
        if self.integers and place < 0:
            low, high = _FIXED.get(_name(node), (low, high))
        step = (high - low) / _LEVELS
        if step == 0:
            return value
        zero = round(-low / step)
        return (torch.clamp(torch.round(value / step) + zero, 0, _LEVELS) - zero) * step


def _channel(node: fx.Node) -> int:
    """The axis of a weight's output channels."""
    name = _name(node)
    if name in _TRANSPOSED:
        return 1
    return 0 if name in _CONVOLUTIONS or name == "linear" else -1


def per_channel(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """A weight in 255 symmetric steps for each output channel."""
    if weight.dim() < _MATRIX:
        return weight
    others = [i for i in range(weight.dim()) if i != axis % weight.dim()]
    step = weight.abs().amax(others, keepdim=True) / 127.0
    return torch.where(step > 0, torch.clamp(torch.round(weight / step), -127, 127) * step, weight)

"""Put a declared pipeline before a model's graph, so that the file takes raw pictures of any size.

A resize is two matrix products whose weights the graph works out from the picture's size. Their numerators are whole
numbers: every runtime gets the same weights to one rounding, which an operator that computes places in float32 (as
Resize of ONNX Runtime does: a hundred times the rounding error of the sums) does not give.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from toolkit.errors import BadInput
from toolkit.pipeline import Pipeline

_HEIGHT, _WIDTH = 2, 3  # of (batch, channel, height, width), in which pictures are resized
_OLDEST = 15  # the opset of the operators that are used here
_PREFIX = "preprocess."

# Keys' cubic in whole numbers: coefficients of n^3, n^2 D, n D^2, D^3 for a distance of n / D, and their divisor, up to
# a distance of 1 and up to 2. With antialias (a = -1/2) and without (a = -3/4).
_CUBIC = {True: ((3, -5, 0, 2), (-1, 5, -8, 4)), False: ((5, -9, 0, 4), (-3, 15, -24, 12))}


def prepend(model: ir.Model, pipeline: Pipeline, name: str) -> None:
    """Let the input `name` take uint8 pictures (batch, height, width, 3) in the place of what the pipeline makes."""
    opset = model.graph.opset_imports.get("", 0)
    if opset < _OLDEST:
        raise BadInput(
            f"a pipeline cannot be written in opset {opset}", where="--opset", hint=f"Ask for {_OLDEST} or more."
        )
    old = next(value for value in model.graph.inputs if value.name == name)
    batch = old.shape[0] if old.shape is not None else ir.SymbolicDim("batch")
    sides = (ir.SymbolicDim("height"), ir.SymbolicDim("width"))
    raw = ir.Value(name=name, type=ir.TensorType(ir.DataType.UINT8), shape=ir.Shape([batch, *sides, 3]))
    old.name = f"{_PREFIX}{name}"
    tape = Tape()
    made = _Writer(tape).whole(raw, pipeline)
    for index, value in enumerate(tape.initializers):
        value.name = f"{_PREFIX}constant_{index}"
        model.graph.initializers[value.name] = value
    for index, node in enumerate(tape.nodes):
        node.name = f"{_PREFIX}{node.op_type}_{index}"
        for output in node.outputs:
            output.name = node.name
    model.graph.inputs[model.graph.inputs.index(old)] = raw
    first = next(iter(model.graph))
    model.graph.insert_before(first, tape.nodes)
    ir.convenience.replace_all_uses_with(old, made)


class _Writer:
    """Writes the steps of a pipeline as nodes, one after another."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._constants: dict[Any, ir.Value] = {}

    def whole(self, raw: ir.Value, pipeline: Pipeline) -> ir.Value:
        x = self._op("Transpose", raw, perm=[0, 3, 1, 2])
        if pipeline.channels == "bgr":
            x = self._op("Gather", x, self._whole([2, 1, 0]), axis=1)
        if pipeline.filter != "nearest":
            x = self._float(x)
        sides = [self._side(x, axis) for axis in (_HEIGHT, _WIDTH)]
        wanted = self._wanted(sides, pipeline)
        if pipeline.resize is not None:
            for axis, size, length in zip((_HEIGHT, _WIDTH), sides, wanted, strict=True):
                x = self._resized(x, axis, size, length, pipeline)
        if pipeline.crop is not None:
            x = self._cropped(x, wanted, pipeline.crop)
        x = self._float(x) if pipeline.filter == "nearest" else x
        x = self._normalized(x, pipeline)
        return x if pipeline.layout == "nchw" else self._op("Transpose", x, perm=[0, 2, 3, 1])

    # -- sizes: tensors of one element and rank 1, or Python's own where they are known

    def _side(self, x: ir.Value, axis: int) -> ir.Value:
        return self._op("Shape", x, start=axis, end=axis + 1)

    def _wanted(self, sides: list[ir.Value], pipeline: Pipeline) -> list[ir.Value]:
        if pipeline.resize is None:
            return sides
        if isinstance(pipeline.resize, tuple):
            return [self._whole([side]) for side in pipeline.resize]
        shortest = self._op("Min", *sides)
        return [self._op("Div", self._op("Mul", side, self._whole([pipeline.resize])), shortest) for side in sides]

    def _cropped(self, x: ir.Value, sides: list[ir.Value], crop: tuple[int, int]) -> ir.Value:
        starts = self._op("Concat", *map(self._start, sides, crop), axis=0)
        ends = self._op("Add", starts, self._whole(list(crop)))
        return self._op("Slice", x, starts, ends, self._whole([_HEIGHT, _WIDTH]))

    def _start(self, side: ir.Value, cut: int) -> ir.Value:
        """Half of what is left over; of the two starts that come as near to the middle, the even one."""
        over = self._op("Sub", side, self._whole([cut]))
        half = self._op("Div", over, self._whole([2]))
        odd = self._op("Sub", over, self._op("Mul", half, self._whole([2])))
        half_is_odd = self._op("Sub", half, self._op("Mul", self._op("Div", half, self._whole([2])), self._whole([2])))
        return self._op("Add", half, self._op("Mul", odd, half_is_odd))

    # -- resizing one axis

    def _resized(self, x: ir.Value, axis: int, size: ir.Value, length: ir.Value, pipeline: Pipeline) -> ir.Value:
        """Places are counted in halves of a pixel, times the other side: whole numbers all."""
        rows = self._odd_numbers(length)  # of 1 / (2 * length) of the picture
        if pipeline.filter == "nearest":
            double = self._op("Mul", length, self._whole([2]))
            return self._op("Gather", x, self._op("Div", self._op("Mul", rows, size), double), axis=axis)
        places = self._up(self._op("Mul", rows, size))  # (length, 1)
        if pipeline.filter == "bicubic" and not pipeline.antialias:
            # What lies outside is the pixel at the edge: two more of it on each side.
            pixels = self._op("Sub", self._range(self._op("Add", size, self._whole([4]))), self._whole([2]))
            last = self._op("Sub", size, self._whole([1]))
            inside = self._op("Min", self._op("Max", pixels, self._whole([0])), last)
            x = self._op("Gather", x, inside, axis=axis)
        else:
            pixels = self._range(size)
        columns = self._op("Add", self._op("Mul", pixels, self._whole([2])), self._whole([1]))
        distance = self._op("Abs", self._op("Sub", self._op("Mul", columns, length), places))
        wide = self._op("Max", size, length) if pipeline.antialias else length
        matrix = self._matrix(distance, self._op("Mul", wide, self._whole([2])), pipeline)
        if axis == _HEIGHT:
            return self._op("MatMul", matrix, x)
        return self._op("MatMul", x, self._op("Transpose", matrix, perm=[1, 0]))

    def _matrix(self, distance: ir.Value, unit: ir.Value, pipeline: Pipeline) -> ir.Value:
        """Weights (length, pixels) from distances in `unit`s of a pixel: exact numerators over their exact sums."""
        if pipeline.filter == "bilinear":
            found = self._op("Max", self._op("Sub", unit, distance), self._whole([0]))
        else:
            n = self._op("Min", distance, self._op("Mul", unit, self._whole([2])))  # from there on it is 0
            near, far = (self._cubic(n, unit, terms) for terms in _CUBIC[pipeline.antialias])
            found = self._op("Where", self._op("Less", n, unit), near, far)
        total = self._op("ReduceSum", found, self._whole([1]), keepdims=1)
        return self._op("Div", self._float(found), self._float(total))

    def _cubic(self, n: ir.Value, d: ir.Value, terms: tuple[int, int, int, int]) -> ir.Value:
        """A cubic in n / d, times d^3 and the coefficients' common divisor, by Horner's rule."""
        found = self._op("Mul", n, self._whole([terms[0]]))
        power = d
        for index, term in enumerate(terms[1:]):
            found = self._op("Add", found, self._op("Mul", power, self._whole([term])))
            if index < len(terms) - 2:
                found = self._op("Mul", found, n)
                power = self._op("Mul", power, d)
        return found

    def _odd_numbers(self, count: ir.Value) -> ir.Value:
        return self._op("Add", self._op("Mul", self._range(count), self._whole([2])), self._whole([1]))

    def _range(self, count: ir.Value) -> ir.Value:
        scalar = self._op("Squeeze", count, self._whole([0]))
        return self._op("Range", self._whole(0), scalar, self._whole(1))

    def _up(self, value: ir.Value) -> ir.Value:
        return self._op("Unsqueeze", value, self._whole([1]))

    # -- values

    def _normalized(self, x: ir.Value, pipeline: Pipeline) -> ir.Value:
        scaled = self._op("Mul", x, self._floats(np.float32(pipeline.scale)))
        for operator, values, neutral in (("Sub", pipeline.mean, 0.0), ("Div", pipeline.std, 1.0)):
            if any(value != neutral for value in values):
                scaled = self._op(operator, scaled, self._floats(np.array(values, np.float32).reshape(3, 1, 1)))
        return scaled

    def _float(self, x: ir.Value) -> ir.Value:
        return self._op("Cast", x, to=ir.DataType.FLOAT)

    def _whole(self, value: int | list[int]) -> ir.Value:
        key = tuple(value) if isinstance(value, list) else value
        if key not in self._constants:
            self._constants[key] = self._tape.initializer(ir.tensor(np.array(value, np.int64), name=f"whole_{key}"))
        return self._constants[key]

    def _floats(self, value: Any) -> ir.Value:
        return self._tape.initializer(ir.tensor(np.asarray(value, np.float32), name=f"float_{len(self._tape.nodes)}"))

    def _op(self, operator: str, *inputs: ir.Value, **attributes: Any) -> ir.Value:
        given: Mapping[str, Any] = {
            key: int(value) if isinstance(value, ir.DataType) else value for key, value in attributes.items()
        }
        return self._tape.op(operator, inputs, given)

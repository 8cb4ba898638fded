"""Where an initializer lives in the module: a trained parameter or a buffer, under the source's own name."""

from __future__ import annotations

import keyword
import operator
import re

import onnx_ir as ir
import torch
from torch import nn

from exporters.graph.values import CONSTANT
from exporters.onnx_to_torch.dtypes import tensor_of

# Inputs that hold what training observed, not what it learned: operator -> their positions.
STATISTICS = {"BatchNormalization": (3, 4)}


class Weights:
    """The initializers of one graph, put into `root` when they are first asked for."""

    def __init__(self, root: nn.Module, *, share: bool = False) -> None:
        self.root = root
        self.share = share  # whether what lies in a file of its own may stay there
        self.source_names: dict[str, str] = {}
        self._paths: dict[str, str] = {}

    def path(self, value: ir.Value) -> str:
        """The dotted name under which `value` lives in the module; several uses share one tensor."""
        name = value.name or ""
        if name not in self._paths:
            assert value.const_value is not None
            tensor = tensor_of(value.const_value, share=self.share)
            self._paths[name] = self.add(name, tensor, trained=is_trained(value), learned=is_learned(value))
            if isinstance(value.const_value, ir.ExternalTensor) and not self.share:
                value.const_value.release()  # the pages of its file, which were mapped to be copied
        return self._paths[name]

    def add(self, name: str, tensor: torch.Tensor, *, trained: bool = False, learned: bool = False) -> str:
        """Register `tensor` and return its dotted name, which is `name` wherever Python and PyTorch allow it."""
        path = self._free(_parts(name))
        if _is_name_of_result(path, numbered=learned):
            path = self._free([f"{path}_"])
        if path != name:
            self.source_names[path] = name
        *folders, leaf = path.split(".")
        owner = self.root
        for folder in folders:
            if folder not in owner._modules:  # noqa: SLF001 - getattr would also find a module's own methods
                owner.add_module(folder, nn.Module())
            owner = owner.get_submodule(folder)
        if trained:
            owner.register_parameter(leaf, nn.Parameter(tensor))
        else:
            owner.register_buffer(leaf, tensor)
        return path

    def _free(self, parts: list[str]) -> str:
        """The parts joined by dots, or by underscores where a folder of that name would be a tensor or a method."""
        owner: nn.Module | None = self.root
        for part in parts[:-1]:
            if owner is None:
                break
            if part not in owner._modules and hasattr(owner, part):  # noqa: SLF001 - see above
                parts = ["_".join(parts)]
                break
            owner = owner._modules.get(part)  # noqa: SLF001 - see above
        path = ".".join(parts)
        while self._taken(path):
            path += "_"
        return path

    def _taken(self, path: str) -> bool:
        *folders, leaf = path.split(".")
        owner: nn.Module | None = self.root
        for folder in folders:
            owner = owner._modules.get(folder) if owner is not None else None  # noqa: SLF001 - see above
        return hasattr(owner if owner is not None else nn.Module(), leaf)


def _is_name_of_result(path: str, *, numbered: bool) -> bool:
    """Whether PyTorch's ONNX exporter may give this name to a result: it does not look whether a weight has it.

    What was learned keeps a name such as "mean", unless that is `numbered`, as the names of results mostly are.
    """
    name = re.sub(r"_\d+$", "", path)
    if numbered and name == path:
        return False
    return name == "val" or hasattr(torch.ops.aten, name) or hasattr(operator, name) or _is_overload(name)


def _is_overload(name: str) -> bool:
    """Whether it is an operator's name with that of one of its forms, such as "scalar_tensor_default"."""
    splits = [(name[: found.start()], name[found.end() :]) for found in re.finditer("_", name)]
    return any(
        form in {each.lower() for each in getattr(torch.ops.aten, stem).overloads()}
        for stem, form in splits
        if stem and form and hasattr(torch.ops.aten, stem)
    )


def is_trained(value: ir.Value) -> bool:
    """Floating-point arrays are trained weights, unless they are written in the graph, scalars, or statistics."""
    uses = [(use.node.op_type, use.idx) for use in value.uses()]
    return is_learned(value) and not any(index in STATISTICS.get(kind, ()) for kind, index in uses)


def is_learned(value: ir.Value) -> bool:
    """Whether it is a trained weight, or what training observed."""
    tensor = value.const_value
    known = tensor is not None and tensor.dtype.is_floating_point() and bool(tensor.shape)
    return known and not value.meta.get(CONSTANT)


def _parts(name: str) -> list[str]:
    """The parts of a dotted name, each made of letters, digits and underscores, none a Python keyword."""
    parts = [re.sub(r"\W", "_", part, flags=re.ASCII) or "_" for part in name.split(".")]
    return [f"{part}_" if keyword.iskeyword(part) else part for part in parts]

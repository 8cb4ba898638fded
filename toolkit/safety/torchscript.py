"""TorchScript archives: which of the calls in their code do more than compute.

The code of an archive is text, close enough to Python to be parsed as such; every call names its operator
(`torch.conv2d` is aten::conv2d, `ops.prim.tolist` is prim::tolist) or a method of the archive's own classes.
"""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import BadInput
from toolkit.safety.lists import allowed

LARGEST = 256 << 20  # bytes of code and of what is pickled, inflated; tensors are neither

# What the language itself brings.
_BUILTINS = frozenset({
    "annotate", "bool", "float", "getattr", "hasattr", "int", "isinstance", "range", "str", "uninitialized",
    "unchecked_cast", "NoneType", "len", "enumerate", "zip", "complex", "hash", "ord", "chr", "abs", "min", "max",
    "fork", "wait",
})  # fmt: skip
_PICKLED = (".pkl",)
# Classes written in C++, which make themselves from what is pickled; those of quantised layers hold weights.
_CLASSES = re.compile(r"torch\.classes\.(?!(?:quantized|sparse)\b)[\w.]+")
_HOOKS = ("__setstate__", "__getstate__")
_MODULES = ("torch", "ops")


def findings(path: Path) -> list[str]:
    """Operators that are not on the list, code that runs while the file is opened, and code that cannot be read."""
    found: list[str] = []
    for name, text in _parts(path):
        found += [f"the class {kind}" for kind in _CLASSES.findall(text)]
        if name.endswith(_PICKLED):
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found.append(f"code that cannot be read ({name})")
            continue
        found += _calls(tree)
        found += _hooks(tree)
    return found


def _parts(path: Path) -> Iterator[tuple[str, str]]:
    """Every file of code or pickled data in the archive, as text. Raises BadInput for a damaged archive or a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if _is_code(entry.filename)]
            size = sum(entry.file_size for entry in entries)
            if size > LARGEST:
                raise BadInput(
                    f"its code and constants inflate to {size:,} bytes", where=str(path), hint="Do not open it."
                )
            for entry in entries:
                yield entry.filename, archive.read(entry).decode("utf-8", "replace")
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"it is damaged ({error})", where=str(path), hint="Export or copy it again.") from error


def _is_code(name: str) -> bool:
    """All that is code by its name, wherever it stands: a package keeps it elsewhere than TorchScript does."""
    return name.endswith((".py", ".pyc", ".so", *_PICKLED))


def _calls(tree: ast.AST) -> Iterator[str]:
    known = allowed("torch")
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} | set(_aliases(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func)
        if name is None:
            continue  # a method of a value: its class is of this archive, or it is one of the operators below
        first, *rest = name.split(".")
        if first == "torch":
            if f"aten::{'.'.join(rest)}" not in known:
                yield f"torch.{'.'.join(rest)}"
        elif first == "ops":
            if "::".join(rest) not in known:
                yield "::".join(rest)
        elif not rest and first not in _BUILTINS | classes | functions:
            yield f"{first}()"


def _aliases(tree: ast.AST) -> Iterator[str]:
    """Local names of the archive's own functions: `_0 = __torch__.torch.nn.functional.adaptive_avg_pool2d`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = node.value
            while isinstance(value, ast.Attribute):
                value = value.value
            if isinstance(value, ast.Name) and value.id == "__torch__":
                yield node.targets[0].id


def _dotted(node: ast.expr) -> str | None:
    """`torch.nn.f` as a text, where the whole is names; None for a method of something computed or of an argument."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    if parts and node.id not in _MODULES:
        return None
    return ".".join([node.id, *reversed(parts)])


def _hooks(tree: ast.AST) -> Iterator[str]:
    """Methods that run while the archive is opened, unless they have no loop and call no methods of their own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in _HOOKS:
            loops = any(isinstance(inner, ast.While | ast.For) for inner in ast.walk(node))
            methods = any(isinstance(inner, ast.Call) and _is_own_method(inner) for inner in ast.walk(node))
            if loops or methods:
                yield f"a {node.name} that runs when the file is opened"


def _is_own_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and _dotted(call.func) is None

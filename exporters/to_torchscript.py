"""Write any opened model as TorchScript: PyTorch's by scripting, else tracing; all others from their ONNX graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.options import ExportOptions
from exporters.sources import examples, plain_outputs
from toolkit import metadata
from toolkit.contract import Contract
from toolkit.runtime.runner import Runner
from toolkit.runtime.torchscript_runner import TorchRunner, arguments, to_tensor
from toolkit.signature import Signature

Strategy = Callable[[Any, Path, ExportOptions], None]


def strategies(model: Runner) -> dict[str, Strategy]:
    """The native ways to write this model, best first: scripting keeps control flow and sizes, tracing fixes them."""
    if not isinstance(model, TorchRunner):
        return {}
    if "ScriptModule" in type(model.module).__name__:
        return {"torch.jit": _as_it_is}
    return {"torch.jit.script": _script, "torch.jit.trace": _trace}


def from_onnx(path: Path, target: Path, signature: Signature, contract: Contract, options: ExportOptions) -> None:
    """Rebuild an ONNX graph as a PyTorch module and script it; not frozen, so that weights keep their names."""
    import torch

    from exporters import onnx_to_torch

    module = onnx_to_torch.build(path, optimize=options.optimize, share=True).eval()
    _save(_scripted(torch, module), target, positional(signature), contract)


def positional(signature: Signature) -> Signature:
    """The same tensors without nesting: what is rebuilt from an ONNX graph takes and returns them in its order."""
    return replace(signature, input_structure=None, output_structure=None)


def _script(model: TorchRunner, path: Path, _: ExportOptions) -> None:
    import torch

    _save(_scripted(torch, model.module), path, model.signature, model.contract)


def _trace(model: TorchRunner, path: Path, _: ExportOptions) -> None:
    import torch

    signature = model.signature
    values = examples.arrays(signature, examples.sizes(signature, 0), like=model.given)
    given = arguments(signature, {name: to_tensor(torch, value, model.ran_on) for name, value in values.items()})
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            traced = _traced(torch, model.module, given)
        except RuntimeError as error:
            if _NESTED not in str(error):
                raise
            # The tensors side by side, then: which is which, the signature in the file says.
            hook = plain_outputs.install_flat(model.module)
            try:
                traced = _traced(torch, model.module, given)
            finally:
                hook.remove()
    _save(traced, path, signature, model.contract)


_NESTED = "Only tensors, lists, tuples of tensors, or dictionary of tensors"  # a list of dicts is none of these


def _traced(torch: Any, module: Any, given: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
    args, kwargs = given
    # The caller compares the trace with the model at other sizes; PyTorch's own check repeats this one.
    return torch.jit.trace(
        module, example_inputs=args or None, example_kwarg_inputs=kwargs or None, check_trace=False, strict=False
    )


def _as_it_is(model: TorchRunner, path: Path, _: ExportOptions) -> None:
    _save(model.module, path, model.signature, model.contract)


def _scripted(torch: Any, module: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module)


def _save(module: Any, path: Path, signature: Signature, contract: Contract) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(module, str(path), _extra_files={metadata.FILE: metadata.dumps(signature, contract)})

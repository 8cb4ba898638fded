"""What a worker does for a verification: open, run, run in float64, list weights, time calls, forget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exporters.weights import of_runner as weights_of
from exporters.weights import quantised as quantised_of
from toolkit import formats
from toolkit.errors import Inconclusive, MissingOutput
from toolkit.pipeline import from_table
from toolkit.runtime.runner import Runner
from toolkit.signature import Signature
from toolkit.verification import constants, float64
from toolkit.verification.weights import fingerprints as fingerprints_of
from toolkit.worker.session import Session

Array = np.ndarray[Any, Any]

_MOST = 200_000_000  # elements that travel to be compared


def open_file(session: Session, format: str, path: str, device: str, threads: int | None) -> dict[str, Any]:  # noqa: A002
    """Open one exported file on one device and keep it. `seconds` is the time to a model that is ready to be called."""
    session.progress({"stage": f"open {format}"})
    runner = formats.by_name(format).open(Path(path), device, threads)
    started = time.perf_counter()
    runner.__enter__()
    return {
        "handle": session.keep(runner),
        "signature": runner.signature.to_json(),
        "contract": runner.contract.to_json(),
        "names_are_declared": runner.names_are_declared,
        "runtime": runner.runtime,
        "ran_on": runner.ran_on,
        "seconds": time.perf_counter() - started,
    }


def adopt_signature(session: Session, handle: str, signature: Mapping[str, Any]) -> None:
    """Give a file that declares no signature the source's, to be called and read by."""
    session.objects[handle].signature = Signature.from_json(signature)


def run(session: Session, handle: str, batches: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    """Run every batch in order; outputs by name."""
    session.progress({"stage": "run"})
    model = session.objects[handle]
    results = []
    for batch in batches:
        with session.in_model():
            outputs = model.run(batch)
        missing = [name for name in model.signature.output_names if name not in outputs]
        if missing:
            raise MissingOutput(f"the output '{missing[0]}' was not returned")
        results.append({name: np.asarray(array) for name, array in outputs.items()})
    return results


def open_float64(
    session: Session, handle: str, like: Mapping[str, Array], *, few_bits: bool | None = None
) -> dict[str, Any]:
    """The opened model in float64, kept beside it; `like` are inputs that it takes. Raises Inconclusive where there is
    no way. `few_bits` is what `float64.of_runner` says.
    """
    session.progress({"stage": "prepare float64"})
    model = float64.of_runner(session.objects[handle], like, few_bits=few_bits)
    return {
        "handle": session.keep(model),
        "how": model.how,
        "exact": model.exact,
        "precision": model.precision,
        "plain": model.plain,
    }


def open_estimate(session: Session, handle: str) -> dict[str, Any]:
    """What stands for the truth of an opened model that has no float64 form. Raises Inconclusive where nothing does."""
    session.progress({"stage": "estimate the truth"})
    model = float64.estimate_of(session.objects[handle])
    return {"handle": session.keep(model), "how": model.how}


def is_open(session: Session, handle: str) -> bool:
    """Whether this worker holds the model; one that was started anew does not."""
    return handle in session.objects


def maps_cuda(session: Session) -> bool | None:  # noqa: ARG001 - every task is given the session
    """Whether this process has NVIDIA's driver library in memory: a fact that no runner can claim."""
    try:
        return "libcuda.so" in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def open_onnx_float64(
    session: Session,
    path: str,
    signature: Mapping[str, Any],
    like: Mapping[str, Array],
    pipeline: Mapping[str, Any] | None = None,
    *,
    few_bits: bool | None = None,
) -> dict[str, Any]:
    """An ONNX file in float64, rebuilt in PyTorch; behind a pipeline where it is a source that takes raw pictures."""
    session.progress({"stage": "prepare float64"})
    before = from_table(pipeline, "preprocess") if pipeline is not None else None
    model = float64.of_onnx(Path(path), Signature.from_json(signature), before, like, few_bits=few_bits)
    return {"handle": session.keep(model), "how": model.how, "precision": model.precision}


def open_moved(session: Session, handle: str, known: Sequence[tuple[int, int]]) -> str:
    """The opened file in float64 with its constants, all but those weights (size, hash), moved by 1 ULP."""
    return session.keep(constants.of_runner(session.objects[handle], [(size, bits) for size, bits in known]))


def open_onnx_moved(
    session: Session,
    path: str,
    signature: Mapping[str, Any],
    known: Sequence[tuple[int, int]],
    pipeline: Mapping[str, Any] | None = None,
) -> str:
    """An ONNX file likewise."""
    before = from_table(pipeline, "preprocess") if pipeline is not None else None
    return session.keep(
        constants.of_onnx(Path(path), Signature.from_json(signature), before, [(size, bits) for size, bits in known])
    )


def open_in_steps(
    session: Session, path: str, signature: Mapping[str, Any], pipeline: Mapping[str, Any] | None = None
) -> str | None:
    """An ONNX file that rounds to steps, rebuilt in PyTorch as it is; None for one that does not."""
    import onnx

    from toolkit.verification import steps

    if not steps.rounds(onnx.load(path, load_external_data=False).graph):
        return None
    before = from_table(pipeline, "preprocess") if pipeline is not None else None
    return session.keep(float64.Rebuilt(Path(path), Signature.from_json(signature), before))


def fingerprints(session: Session, handle: str) -> list[dict[str, Any]]:
    """Name, size and order-free hash of every float tensor of a model."""
    return fingerprints_of(weights_of(session.objects[handle]))


def stored_weights(session: Session, handle: str) -> list[dict[str, Any]]:
    """The float tensors that a file stores, widened to float32, in their own shapes; those in 8 bits with their step.

    Raises TaskFailed for a file of more than `_MOST` elements.
    """
    runner = session.objects[handle]
    quantised = [(name, values, step) for name, values, step in quantised_of(runner)]
    floats = [(name, np.asarray(array, np.float32), None) for name, array in weights_of(runner)]
    scales = bool(quantised)
    held = [*(item for item in floats if not (scales and item[0].endswith("_scale"))), *quantised]
    found = [{"name": name, "values": values, "step": step} for name, values, step in held]
    total = sum(values.size for _, values, _ in held)
    if total > _MOST:
        raise Inconclusive(f"not looked at: {total:,} weights are too many to be compared one by one")
    return found


def weights(session: Session, handle: str, names: Sequence[str]) -> dict[str, Array]:
    """Those tensors themselves, flat."""
    wanted = set(names)
    return {name: array.reshape(-1) for name, array in weights_of(session.objects[handle]) if name in wanted}


def time_calls(session: Session, handle: str, inputs: Mapping[str, Array], calls: int) -> dict[str, Any]:
    """Nanoseconds of each of `calls` forward passes, input and output copies outside; CPU nanoseconds of all."""
    runner = session.objects[handle]
    feed = runner.prepare(inputs)
    samples = np.zeros(calls, np.int64)
    cpu = time.process_time_ns()
    with session.in_model():
        for index in range(calls):
            started = time.perf_counter_ns()
            runner.invoke(feed)
            runner.synchronize()
            samples[index] = time.perf_counter_ns() - started
    return {"nanoseconds": samples, "cpu": time.process_time_ns() - cpu}


def close(session: Session, handles: Sequence[str]) -> None:
    """Forget models, so that a long verification does not hold them all."""
    for handle in handles:
        model = session.objects.pop(handle, None)
        if isinstance(model, Runner):
            model.__exit__(None, None, None)

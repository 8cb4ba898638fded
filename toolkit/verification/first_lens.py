"""The first lens: every declared output of a file, measured in float32 against the source and its truth."""

from __future__ import annotations

from dataclasses import replace

from toolkit.signature import Signature
from toolkit.verification import compare
from toolkit.verification.compare import Measured, Mismatch
from toolkit.verification.reference import Answers
from toolkit.verification.report import OutputComparison
from toolkit.verification.sides import Outputs

Compared = list[tuple[OutputComparison, Measured | None]]


def compare_all(signature: Signature, answers: Answers, outputs: Outputs) -> tuple[list[Mismatch], Compared]:
    """Every declared output, by name: structure first, and only where that is right the numbers."""
    if len(outputs) != len(answers.batches):
        return [Mismatch("the file", f"it answered {len(outputs)} of {len(answers.batches)} calls")], []
    extra = next((key for batch in outputs for key in batch if key not in signature.output_names), None)
    if extra is not None:
        return [Mismatch(f"output '{extra}'", "the file returned an output that the source has not")], []
    mismatches: list[Mismatch] = []
    compared: Compared = []
    for spec in signature.outputs:
        found = _structure(spec.name, answers, outputs)
        if found is not None:
            mismatches.append(found)
            continue
        truth, source, export = (
            [batch[spec.name] for batch in each] for each in (answers.truth, answers.source, outputs)
        )
        kinds = [batch.kind for batch in answers.batches]
        described = compare.describe(spec, truth, source, export, kinds, answers.condition(spec))
        if answers.precision != "fp32":
            described = compare.against_truth(spec, described, truth, source, export)
        compared.append(described)
    return mismatches, compared


def _structure(name: str, answers: Answers, outputs: Outputs) -> Mismatch | None:
    """The first batch on which an output is missing or of another kind."""
    for batch, source, export in zip(answers.batches, answers.source, outputs, strict=True):
        if name not in export:
            found: Mismatch | None = Mismatch(f"output '{name}'", "it was not returned")
        else:
            found = compare.check_structure(name, source[name], export[name])
        if found:
            return replace(found, what=f"{found.what} ({batch.kind}, batch of {batch.size})")
    return None

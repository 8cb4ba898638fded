"""`toolkit inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from toolkit.cli import options
from toolkit.errors import EXIT_FAILED, EXIT_PASSED, BadInput

if TYPE_CHECKING:
    from toolkit.inspection import Inspection


@click.command()
@click.argument("path")
@click.option("--target", metavar="RUNTIME", help="Does an ONNX file fit ort>=1.17, ort-web, trt10? Exit 1 if not.")
@click.option("--json", "as_json", is_flag=True, help="Print one strict JSON object.")
def command(path: str, as_json: bool, target: str | None) -> int:
    """Say what PATH is, without running it: kind, writer, signature, parameters, operators, and what in it is code.

    PATH is a file or folder of any kind that `toolkit export` takes, or a name: package.module:callable, timm:resnet18.
    """
    from toolkit.inspection import inspect

    found = inspect(path)
    troubles = _troubles(found, target) if target is not None else []
    if as_json:
        options.show_json(found.to_json() | ({} if target is None else {"target": target, "troubles": troubles}))
        return EXIT_FAILED if troubles else EXIT_PASSED
    lines = _lines(found)
    if target is not None:
        lines += [("fits", f"{target}: {'no' if troubles else 'yes'}"), *(("", text) for text in troubles)]
    for title, text in lines:
        click.echo(f"{title:<12}{text}")
    return EXIT_FAILED if troubles else EXIT_PASSED


def _troubles(found: Inspection, target: str) -> list[str]:
    from exporters import targets
    from toolkit.report.plain import plain

    if found.kind != "onnx":
        raise BadInput(f"a {found.kind} goes to no ONNX runtime", where="--target", hint="Name an .onnx file.")
    return [plain(text, 400) for text in targets.troubles(found.path, targets.parse(target))]


def _lines(found: Inspection) -> list[tuple[str, str]]:
    from toolkit.files import describe_size
    from toolkit.report.plain import plain

    lines = [("kind", f"{found.kind}, {describe_size(found.size)}" if found.size else found.kind)]
    if found.writer:
        lines.append(("written by", plain(found.writer)))
    if found.signature is not None:
        lines += [("input", plain(str(spec))) for spec in found.signature.inputs]
        lines += [("output", plain(str(spec))) for spec in found.signature.outputs]
    if found.labels:
        lines.append(("labels", plain(", ".join(found.labels), 100)))
    if found.parameters is not None:
        lines.append(("parameters", f"{found.parameters:,}"))
    if found.operators:
        lines.append(("operators", plain(", ".join(f"{name} {count}" for name, count in found.operators.items()))))
    lines += [(plain(key, 11), plain(value)) for key, value in found.facts.items()]
    if found.code:
        lines.append(("code", plain(", ".join(found.code), 200)))
    lines.append(("safe?", plain(found.safe)))
    return lines

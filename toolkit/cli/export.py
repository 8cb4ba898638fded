"""`toolkit export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import options
from toolkit.errors import BadInput, VerdictFailed

if TYPE_CHECKING:
    from toolkit.pipeline import Pipeline


@click.command()
@click.argument("source")
@click.option(
    "--to",
    multiple=True,
    required=True,
    metavar="FORMAT",
    help="onnx, torchscript, savedmodel, hdf5; all of these; keras; tflite. Repeat it, or put commas between.",
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle's folder.")
@click.option(
    "--opset",
    type=int,
    help="ONNX operator set of what is written.  [default: 18, the target's, or an ONNX file's own]",
)
@click.option("--target", metavar="RUNTIME", help="Where the ONNX file goes: ort>=1.17, ort-web, trt10.")
@click.option(
    "--optimize/--no-optimize",
    default=True,
    help="Fold normalisations into weights where TorchScript is rebuilt from ONNX; or keep the weights' bits.",
)
@options.precision_options
@click.option("--data", type=click.Path(path_type=Path), help="An .npz of real inputs to verify with.")
@click.option(
    "--count",
    type=click.IntRange(32),
    help="Inputs to verify with.  [default: 512, or fewer where those take the source over 10 s]",
)
@click.option("--seed", type=int, default=7, show_default=True, help="Of the generated inputs.")
@click.option("--latency/--no-latency", default=True, help="Time the files against the source.")
@click.option(
    "--search", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Look that long for a worse input."
)
@click.option(
    "--preprocess",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML or JSON: how pictures become the model's input.  [default: [preprocess] in toolkit.toml]",
)
@click.option(
    "--bake-preprocess", is_flag=True, help="Put that into the files: they take uint8 [batch, height, width, 3]."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, and no table when all passed.")
@options.device_option
@options.source_options
@options.worker_options
@options.report_options
def command(source: str, to: tuple[str, ...], output: Path, **given: Any) -> int:
    """Export SOURCE and verify what was written.

    SOURCE is a trained folder, a model file (.pt, .pt2, .keras, .h5, .onnx, a SavedModel or transformers folder),
    weights with --factory (.pt, .ckpt, .safetensors, .weights.h5, a TensorFlow checkpoint), package.module:callable,
    timm:NAME or torchvision:NAME. The result is a bundle: the files, golden data, a report and a manifest.
    """
    import sys

    from toolkit import bundle

    sys.path.append(str(Path.cwd()))
    if given["dry_run"]:
        return _describe(source, to, output, given)
    reports = {"json_file": given["json_file"], "html": given["html"], "junit": given["junit"],
               "markdown": given["markdown"]}  # fmt: skip
    failure: VerdictFailed | None = None
    with options.progress(given["quiet"]) as stage:
        try:
            made = bundle.export(
                source,
                to,
                output,
                given["inputs"],
                opset=given["opset"],
                target=given["target"],
                optimize=given["optimize"],
                precision=given["precision"],
                calibrate=given["calibrate"],
                factory=given["factory"],
                framework=given["framework"],
                signature=given["signature"],
                trust=given["trust"],
                allow=given["allow"],
                data=given["data"],
                devices=given["devices"],
                count=given["count"],
                seed=given["seed"],
                latency=given["latency"],
                search=given["search"],
                preprocess=given["preprocess"] or _declared(),
                bake_preprocess=given["bake_preprocess"],
                limits=options.limits(given["threads"], given["timeout"], given["memory"]),
                commands=options.commands(given["pythons"], given["workers"]),
                stage=stage,
            )
        except VerdictFailed as error:
            if error.report is None:
                raise
            found, failure = error.report, error
        else:
            found = made.report
    if not (given["quiet"] and failure is None and given["json_file"] is None):
        options.write_reports(found, **reports)
    if failure is not None:
        raise failure
    for note in made.notes:
        click.echo(f"note: {note}", err=True)
    if given["json_file"] is None and not given["quiet"]:
        click.echo(f"wrote {output}  ({', '.join(made.manifest.formats.values())}, report.html, manifest.json)")
    return int(found.exit_code)


def _declared() -> Pipeline | None:
    """The pipeline in the configuration file in whose reach we are."""
    from toolkit import pipeline
    from toolkit.cli import config

    found = config.find(Path.cwd())
    table = found[1].get(pipeline.TABLE) if found else None
    if found is None or table is None:
        return None
    if not isinstance(table, dict):
        raise BadInput(f"'{pipeline.TABLE}' is not a table", where=str(found[0]))
    return pipeline.from_table(table, f"{found[0]}, [{pipeline.TABLE}]")


def _describe(source: str, to: tuple[str, ...], output: Path, given: dict[str, Any]) -> int:
    """`--dry-run`: what the source was recognised as, and what would be written."""
    from exporters.precision import kinds
    from exporters.sources import source as sources
    from toolkit import formats
    from toolkit.report.plain import plain

    found = sources.resolve(
        source, inputs=given["inputs"], factory=given["factory"], framework=given["framework"],
        signature=given["signature"], trust=given["trust"], allow=given["allow"],
    )  # fmt: skip
    names = formats.asked_for(to)
    kinds.check(given["precision"], names)
    click.echo(f"source   {plain(source)}: {found.kind}, opened by {found.runtime}")
    for name in names:
        click.echo(f"write    {output / formats.by_name(name).file}")
    click.echo(f"verify   on {', '.join(given['devices'])} with {given['count'] or 'up to 512'} inputs")
    return 0

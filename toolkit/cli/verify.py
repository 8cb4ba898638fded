"""`toolkit verify`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from toolkit.cli import options
from toolkit.errors import EXIT_FAILED, EXIT_MISSING, EXIT_PASSED


@click.command()
@click.argument("source")
@click.argument("targets", nargs=-1, metavar="[TARGET]...", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="An .npz of real inputs, one array per input.")
@options.precision_options
@click.option(
    "--count",
    type=click.IntRange(32),
    help="Inputs to compare on.  [default: 512, or fewer where those take the source over 10 s]",
)
@click.option("--seed", type=int, default=7, show_default=True, help="Of the generated inputs.")
@click.option("--atol", type=float, help="A limit of your own; it can only make the verdict stricter.")
@click.option("--rtol", type=float, help="A limit of your own; it can only make the verdict stricter.")
@click.option("--max-ratio", type=float, help="A stricter limit on R, the error over the source's own noise.")
@click.option("--latency/--no-latency", default=True, help="Time the files against the source.")
@click.option("--budget", metavar="ratio=X", help="Fail what takes more than X times the source's time, for certain.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Fail what became slower than in this --json report.")
@click.option("--locate/--no-locate", default=True, help="On a FAIL, find the operator where it starts, and why.")
@click.option(
    "--search", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Look that long for a worse input."
)
@click.option("--fail-on-skip", is_flag=True, help="Exit with 1, not 3, where a device or a runtime is missing.")
@click.option("--worst", type=click.Path(path_type=Path), default=None, help="Save the worst input here, as .npz.")
@click.option("--certificate-only", is_flag=True, help="Of bundles: check hashes and certificate, and run nothing.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="With --certificate-only: the public key that signed, PEM."
)
@click.option(
    "--preprocess",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The TARGETs take raw pictures: put this pipeline before SOURCE.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@options.device_option
@options.source_options
@options.worker_options
@options.report_options
def command(source: str, targets: tuple[Path, ...], **given: Any) -> int:
    """Check that TARGETs predict what SOURCE predicts.

    SOURCE is a trained folder, a model file, package.module:callable, or a bundle: then its golden data stand for the
    source, and without a TARGET all of its own files are verified.
    """
    if given["certificate_only"]:
        return _certificates([Path(source), *targets], given["key"])
    from toolkit.verification.verifier import verify

    sys.path.append(str(Path.cwd()))
    with options.progress(given["quiet"]) as stage:
        report = verify(
            source,
            targets,
            given["devices"],
            given["data"],
            inputs=given["inputs"],
            factory=given["factory"],
            framework=given["framework"],
            signature=given["signature"],
            trust=given["trust"],
            allow=given["allow"],
            count=given["count"],
            seed=given["seed"],
            atol=given["atol"],
            rtol=given["rtol"],
            max_ratio=given["max_ratio"],
            latency=given["latency"],
            budget=given["budget"],
            baseline=given["baseline"],
            locate=given["locate"],
            worst=given["worst"],
            search=given["search"],
            precision=given["precision"],
            calibrate=given["calibrate"],
            preprocess=given["preprocess"],
            limits=options.limits(given["threads"], given["timeout"], given["memory"]),
            commands=options.commands(given["pythons"], given["workers"]),
            stage=stage,
        )
    options.write_reports(
        report, json_file=given["json_file"], html=given["html"], junit=given["junit"], markdown=given["markdown"]
    )
    skipped = given["fail_on_skip"] and report.exit_code == EXIT_MISSING
    return EXIT_FAILED if skipped else report.exit_code


def _certificates(bundles: Sequence[Path], key: Path | None) -> int:
    """Check every bundle's hashes, and its certificate's verdict and signature; the first that does not hold raises."""
    from toolkit import certificate, manifest
    from toolkit.report.plain import plain

    code = EXIT_PASSED
    for path in bundles:
        folder = path.parent if path.name == manifest.NAME else path
        found = certificate.check(folder, key)
        signed = f", signed by key {found.signed_by}" if found.signed_by else ""
        verdict = "PASS" if found.passed else "FAIL"
        click.echo(f"{verdict}  {plain(str(folder))}: {found.files} files as certified {found.created}{signed}")
        code = code if found.passed else EXIT_FAILED
    return code

"""`toolkit sign`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--key", required=True, type=click.Path(path_type=Path), help="A private key in PEM format, unencrypted.")
def command(bundle: Path, key: Path) -> None:
    r"""Sign the certificate of BUNDLE, after checking that its files are the certified ones.

    \b
    openssl genpkey -algorithm ed25519 -out key.pem
    openssl pkey -in key.pem -pubout -out key.pub
    toolkit sign out/ --key key.pem
    toolkit verify out/ --certificate-only --key key.pub
    """
    from toolkit import certificate

    click.echo(f"signed by key {certificate.sign(bundle, key)}: {bundle / certificate.SIGNED}")

"""`toolkit worker`: what `--worker cuda="ssh gpu-host toolkit worker"` starts on the other machine."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Serve as a worker on stdin and stdout."""
    from toolkit.worker.server import main

    main()

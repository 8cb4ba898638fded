"""The command line: one module per command, imported only when that command runs.

`toolkit --help` reads the one-line summaries from here, so that listing the commands imports none of them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click

import toolkit
from toolkit.errors import EXIT_USAGE, ToolkitError

# Command -> its line in `toolkit --help`; its module is toolkit.cli.<command>, its click command is called `command`.
COMMANDS = {
    "demo": "Train, export, verify and report, in one go, on embedded data.",
    "train": "Train a model in PyTorch, Keras or low-level TensorFlow.",
    "export": "Export a model to ONNX, TorchScript, SavedModel and HDF5, verified.",
    "sweep": "Export and verify many models, resumable, side by side or on Ray.",
    "verify": "Check that exported files predict what their source predicts.",
    "sign": "Sign a bundle's certificate.",
    "bench": "Measure the latency of exported files.",
    "predict": "Predict the class of an image, or the outputs for an .npz file.",
    "inspect": "Say what a file is, without running it.",
    "explain": "Say in words what a report shows.",
    "doctor": "Show what is installed, which devices work, and how to mend what is missing.",
    "formats": "List the formats and the operators that are supported.",
    "worker": "Serve as a worker on stdin and stdout (for --worker on another machine).",
}
HIDDEN = ("worker",)


class _ClosedPipe(Exception):
    """The reader of our output has gone. Not an OSError: click would make exit code 1 of it, "a verdict failed"."""


@contextlib.contextmanager
def _noticing_closed_pipes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise _ClosedPipe from None


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _noticing_closed_pipes():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _noticing_closed_pipes():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"toolkit.cli.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and give it the defaults of the configuration file in whose reach we are."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None and name not in HIDDEN:
            _configure(ctx, name, command)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, COMMANDS[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _configure(ctx: click.Context, name: str, command: click.Command) -> None:
    from pathlib import Path

    from toolkit.cli import config

    found = config.find(Path.cwd())
    if found is not None:
        config.require_known(COMMANDS, *found)
        ctx.default_map = {name: config.defaults(command, name, *found)}


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(toolkit.__version__, prog_name="toolkit")
def group() -> None:
    """Convert models between PyTorch, Keras, TensorFlow and ONNX, and prove that they still predict the same.

    Exit codes: 0 all passed, 1 a verdict failed, 2 usage or bad input, 3 a device or runtime is missing, 4 a worker
    crashed, 5 refused as unsafe, 6 inconclusive.
    """


def run(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; every error of ours is one message on stderr, never a traceback."""
    import signal

    signal.signal(signal.SIGTERM, _terminated)
    code = invoke(arguments)
    try:
        if sys.stdout is not None:  # `>&-`
            sys.stdout.flush()
    except OSError:
        code = _closed_pipe()
    sys.exit(code)


def _terminated(*_: object) -> None:
    """SIGTERM unwinds like Ctrl-C, so that workers end and half-written files go; 128 + 15 is the shell's code."""
    sys.exit(143)


def invoke(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        result = group.main(args=arguments, prog_name="toolkit", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ToolkitError as error:
        _say(str(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return 130
    except _ClosedPipe:
        return _closed_pipe()
    except OSError as error:
        _say(f"BadInput: {error.filename or 'the operating system'}: {error.strerror or error}")
        return EXIT_USAGE


def _say(text: str) -> None:
    import os

    from toolkit.report.plain import plain

    colour = False if os.environ.get("NO_COLOR") else None  # None: as the stream is, a terminal or not
    for line in text.splitlines():
        click.echo(click.style(plain(line), fg="red"), err=True, color=colour)


def _closed_pipe() -> int:
    """The reader of our output has gone (`toolkit ... | head`): nothing more to say, and no traceback at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141  # 128 + SIGPIPE, as the shell says it

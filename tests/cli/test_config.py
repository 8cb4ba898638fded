"""Defaults from toolkit.toml and pyproject.toml, for every command, and what a mistake in them is told as."""

from __future__ import annotations

import click
import pytest

from toolkit import cli
from toolkit.cli import config, verify
from toolkit.errors import BadInput


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project" / "models"
    folder.mkdir(parents=True)
    (tmp_path / "project" / ".git").mkdir()
    monkeypatch.chdir(folder)
    return tmp_path / "project"


def read(project, text, name=config.NAME):
    (project / name).write_text(text)
    return config.defaults(verify.command, "verify", *config.find(project / "models"))


def test_the_nearest_file_above_gives_defaults(project):
    text = '[verify]\ndevice = ["cpu", "cuda"]\nmax-ratio = 2.0\ncount = 64\n'
    assert read(project, text) == {"devices": ["cpu", "cuda"], "max_ratio": 2.0, "count": 64}


def test_pyproject_has_a_table_of_its_own(project):
    assert read(project, "[tool.toolkit.verify]\nseed = 3\n", "pyproject.toml") == {"seed": 3}


def test_a_pyproject_without_our_table_configures_nothing(project):
    (project / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert config.find(project / "models") is None


def test_files_above_the_repository_are_none_of_our_business(project):
    (project.parent / config.NAME).write_text("[verify]\nseed = 3\n")
    assert config.find(project / "models") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[verify]\nsed = 3\n", "'verify' has no option 'sed'"),
        ('[verify]\ndevice = "cpu"\n', "'device' of 'verify' takes a list"),
        ("[verify]\nseed = [3]\n", "'seed' of 'verify' takes one value"),
        ("[verify]\nsource = 'x'\n", "'verify' has no option 'source'"),
        ("verify = 3\n", "'verify' is not a table"),
        ("[verify\n", "it is not TOML"),
    ],
)
def test_mistakes_are_named(project, text, words):
    with pytest.raises(BadInput) as raised:
        read(project, text)
    assert words in str(raised.value)
    assert config.NAME in str(raised.value)


def test_a_command_sees_them_and_the_command_line_wins(project, capsys):
    (project / config.NAME).write_text('[inspect]\njson = "elsewhere"\n[verfy]\n')
    assert cli.invoke(["doctor", "--help"]) == 2
    assert "there is no command 'verfy'" in capsys.readouterr().err
    (project / config.NAME).write_text("[verify]\ncount = 3\n")
    assert cli.invoke(["verify", "nothing.onnx"]) == 2
    assert "3 is not in the range x>=32" in capsys.readouterr().err
    assert cli.invoke(["verify", "nothing.onnx", "--count", "64"]) == 2
    assert "range" not in capsys.readouterr().err


def test_every_option_of_every_command_can_be_configured():
    """No two options of a command share a flag, and none is hidden from the table."""
    for name in cli.COMMANDS:
        command = cli.group.get_command(click.Context(cli.group), name)
        flags = [flag for option in command.params for flag in (*option.opts, *option.secondary_opts)]
        assert len(flags) == len(set(flags)), name

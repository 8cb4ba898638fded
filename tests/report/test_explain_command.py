import json

import pytest
from click.testing import CliRunner

from toolkit.cli.explain import command
from toolkit.errors import BadInput
from toolkit.verification.report import dumps

HINT = "\n  Write it again with `toolkit verify --json FILE`."


@pytest.fixture
def written(report, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(dumps(report.to_json()))
    return path


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_it_prints_the_table_and_what_did_not_pass(written):
    result = run(written)
    assert result.exit_code == 0
    assert "2 passed, 1 failed, 1 not run -> exit 1     worst input: out/worst.npz" in result.output
    assert "\n hdf5: FAIL\n   The export does not predict what its source predicts: starts at bn1" in result.output
    assert "torchscript: PASS" not in result.output


def test_it_writes_the_page_again(written, tmp_path):
    page = tmp_path / "pages" / "report.html"
    result = run(written, "--html", page)
    assert "".join(str(page).split()) in "".join(result.output.split())
    assert page.read_text().startswith("<!doctype html>")
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]


def failed(path):
    result = run(path)
    assert isinstance(result.exception, BadInput)
    assert result.output == ""
    return str(result.exception)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "its schema is None, and this version reads 'toolkit-report/1'"),
        ("[1]", "its schema is None, and this version reads 'toolkit-report/1'"),
        (
            '{"schema": "toolkit-report/9"}',
            "its schema is 'toolkit-report/9', and this version reads 'toolkit-report/1'",
        ),
        ('{"schema": "\\u001b[2J"}', "its schema is '\\x1b[2J', and this version reads 'toolkit-report/1'"),
        ('{"schema": "toolkit-report/1"}', "its content is not a report's (KeyError: 'coverage')"),
        ("{\n1", "not JSON (line 2)"),
        ("[" * 200_000, "not JSON"),
    ],
)
def test_a_file_that_is_no_report(tmp_path, content, message):
    path = tmp_path / "r.json"
    path.write_text(content)
    assert failed(path) == f"BadInput: {path}: {message}{HINT}"


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "r.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert failed(path) == f"BadInput: {path}: not JSON{HINT}"


def test_a_missing_file(tmp_path):
    path = tmp_path / "none.json"
    assert failed(path) == f"BadInput: {path}: cannot be read: No such file or directory\n  Check the path."


# Every field of a row, an output and a latency replaced by something of another type.
@pytest.mark.parametrize("wrong", ["text", [1], {"a": 1}, -1e308], ids=["text", "list", "object", "number"])
def test_fields_of_another_type_are_refused_or_shown_but_never_crash(written, tmp_path, wrong):
    sound = written.read_text()
    seen = 0
    for pick in (
        lambda d: d, lambda d: d["reference"], lambda d: d["coverage"], lambda d: d["rows"][3],
        lambda d: d["rows"][3]["outputs"][0], lambda d: d["rows"][3]["latency"], lambda d: d["rows"][3]["lenses"][0],
    ):  # fmt: skip
        for field in pick(json.loads(sound)):
            data = json.loads(sound)
            pick(data)[field] = wrong
            path = tmp_path / "wrong.json"
            path.write_text(json.dumps(data))
            result = run(path, "--html", tmp_path / "wrong.html")
            assert result.exception is None or isinstance(result.exception, BadInput), (field, result.exception)
            seen += 1
    assert seen > 60

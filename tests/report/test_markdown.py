import re
from dataclasses import replace

import pytest

from toolkit.report import markdown


def test_the_step_summary(report):
    report = replace(report, reference=replace(report.reference, ran_on="cpu"))
    lines = markdown.render(report).splitlines()
    assert lines[:9] == [
        "### 2 passed, 1 failed, 1 not run (exit 1)",
        "",
        "model.pt: torch 2.13 eager, cpu; truth: the source in float64; 512 inputs (256 real, 256 generated), seed 7.",
        "",
        "|  | format | runtime | ran on | max\\|d\\| | x noise | argmax | latency | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| ✅ | torchscript | torch 2.13 | cpu | 0 | 0.0 | 512/512 | can't tell | **PASS** identical |",
        "| ✅ | onnx | onnxruntime 1.31.1 | cpu | 3.6e-07 | 0.9 | 512/512 | 2.3x faster | **PASS** |",
        "| ⚠️ | onnx | onnxruntime 1.31.1 | - | - | - | - | - | **NOT RUN** cuda: libcublasLt.so.13 missing |",
    ]
    assert lines[-1] == "Worst input: out/worst.npz"
    assert any(line.startswith("**hdf5: FAIL.** The export does not predict") for line in lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("<img src=x>", "\\<img src=x\\>"),
        ("a & b &lt;", "a &amp; b &amp;lt;"),
        ("**bold** _it_ `code`", "\\*\\*bold\\*\\* \\_it\\_ \\`code\\`"),
        ("[x](y) ![z](w)", "\\[x\\](y) \\!\\[z\\](w)"),
        ("one\ntwo\r# three", "one two \\# three"),
        ("\\|", "\\\\\\|"),
        ("https://evil.example", "https:\\//evil.example"),
        ("@someone", "@<!-- -->someone"),
        ("\x1b[31m\u202e", "\\\\x1b\\[31m\\\\u202e"),
    ],
)
def test_text_is_shown_literally(text, shown):
    assert markdown.escaped(text) == shown


def test_a_hostile_report_keeps_its_table(hostile, raw):
    text = markdown.render(hostile)
    assert raw(text.replace("️", "")) == set()  # the warning sign's own variation selector
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(hostile.rows)
    cells = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows]
    assert cells == [cells[0]] * len(rows)
    assert "<script" not in re.sub(r"\\<", "", text)


def test_no_rows_is_no_table(empty):
    text = markdown.render(empty)
    assert text.startswith("### nothing was compared (exit 6)\n")
    assert "| --- |" not in text

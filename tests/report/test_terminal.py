import io
from dataclasses import replace

import pytest
from rich.console import Console

from toolkit.report import terminal
from toolkit.verification.report import Row, Verdict
from toolkit.verification.searched import Searched


def printed(width, show, *reports, **options):
    """What a pipe of that width receives."""
    file = io.StringIO()
    show(*reports, Console(file=file, width=width), **options)
    return file.getvalue()


def same(text, golden):
    """Compared line by line, so that a failure shows the first line that differs."""
    assert text.splitlines() == golden.strip("\n").splitlines()


def test_a_wide_table(report):
    same(
        printed(120, terminal.render, report, page="out/report.html"),
        """
 reference  model.pt: torch 2.13 eager, cpu, float32     truth: the source in float64
            512 inputs (256 real, 256 generated), seed 7
 format       runtime             ran on  max|d|   x noise  argmax   latency       verdict
 torchscript  torch 2.13          cpu     0        0.0      512/512  can't tell    PASS  identical
 onnx         onnxruntime 1.31.1  cpu     3.6e-07  0.9      512/512  2.3x faster   PASS
 onnx         onnxruntime 1.31.1  -       -        -        -        -             NOT RUN
    cuda: libcublasLt.so.13 missing
 hdf5         keras 3.15.1        cpu     4.1e-01  8.1e+05  61/512   1.80x slower  FAIL
    starts at bn1: epsilon 1e-3 in the file, 1e-5 in the source
2 passed, 1 failed, 1 not run -> exit 1     report: out/report.html     worst input: out/worst.npz
""",
    )


def test_a_reason_wraps_beside_its_verdict_where_it_has_room(report):
    lines = printed(136, terminal.render, report).splitlines()
    first, second = (line[89:] for line in lines[-3:-1])
    assert (first, second) == ("starts at bn1: epsilon 1e-3 in the file, 1e-5", "in the source")
    assert lines[-2][:89].strip() == ""


def test_at_80_columns_the_runtime_moves_under_its_row_and_so_does_a_long_reason(report):
    same(
        printed(80, terminal.render, report, page="out/report.html"),
        """
 reference  model.pt: torch 2.13 eager, cpu, float32
            truth: the source in float64
            512 inputs (256 real, 256 generated), seed 7
 format       ran on  max|d|   x noise  argmax   latency       verdict
 torchscript  cpu     0        0.0      512/512  can't tell    PASS  identical
    runtime torch 2.13
 onnx         cpu     3.6e-07  0.9      512/512  2.3x faster   PASS
    runtime onnxruntime 1.31.1
 onnx         -       -        -        -        -             NOT RUN
    cuda: libcublasLt.so.13 missing
    runtime onnxruntime 1.31.1
 hdf5         cpu     4.1e-01  8.1e+05  61/512   1.80x slower  FAIL
    starts at bn1: epsilon 1e-3 in the file, 1e-5 in the source
    runtime keras 3.15.1
2 passed, 1 failed, 1 not run -> exit 1     report: out/report.html
  worst input: out/worst.npz
""",
    )


def test_without_latency_there_is_no_column_of_dashes(untimed):
    same(
        printed(80, terminal.render, untimed),
        """
 reference  model.pt: torch 2.13 eager, cpu, float32
            truth: the source in float64
            512 inputs (256 real, 256 generated), seed 7
 format       runtime             ran on  max|d|   x noise  argmax   verdict
 torchscript  torch 2.13          cpu     0        0.0      512/512  PASS
    identical
 onnx         onnxruntime 1.31.1  cpu     3.6e-07  0.9      512/512  PASS
 onnx         onnxruntime 1.31.1  -       -        -        -        NOT RUN
    cuda: libcublasLt.so.13 missing
 hdf5         keras 3.15.1        cpu     4.1e-01  8.1e+05  61/512   FAIL
    starts at bn1: epsilon 1e-3 in the file, 1e-5 in the source
2 passed, 1 failed, 1 not run -> exit 1     worst input: out/worst.npz
""",
    )


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, "searched 4.0 s for a worse input: 1,250 tried (random 1,200, gradient 50), nothing found"),
        ("gradient after 1.2 s", "found by gradient after 1.2 s"),
    ],
)
def test_a_search_is_told_whatever_it_found(passing, found, says):
    searched = Searched(4.0, 4.0, 1250, {"random": 1200, "gradient": 50}, found=found)
    rows = tuple(replace(row, search=searched) for row in passing.rows)
    lines = printed(120, terminal.render, replace(passing, rows=rows)).splitlines()
    assert len([line for line in lines if says in line]) == len(rows)


def test_two_files_of_one_format_are_told_apart_by_their_paths(passing):
    twice = replace(passing, rows=(passing.rows[1], replace(passing.rows[1], path="other/model.onnx")))
    lines = printed(120, terminal.render, twice).splitlines()
    assert [line.strip() for line in lines if "model.onnx" in line] == ["out/model.onnx", "other/model.onnx"]


def test_no_rows_is_no_pass(empty):
    assert printed(80, terminal.render, empty).splitlines()[-1].startswith("nothing was compared -> exit 6")


@pytest.mark.parametrize("width", [40, 48, 57, 66, 80, 91, 100, 133, 200])
def test_at_every_width_nothing_is_lost_cut_or_too_long(every_verdict, width):
    text = printed(width, terminal.render, every_verdict)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for row in every_verdict.rows:
        assert set(row.reason.split()) <= set(words.split())
        assert row.verdict.value in words
    for figure in ("3.6e-07", "8.1e+05", "4.1e-01", "61/512", "2.3x faster", "1.80x slower"):
        assert figure.split()[0] in words.replace(",", " ").split()


def test_a_pipe_gets_no_escape_codes(report):
    assert "\x1b" not in printed(80, terminal.render, report)


def on_a_terminal(report, **options):
    file = io.StringIO()
    terminal.render(report, Console(file=file, width=120, force_terminal=True, color_system="standard", **options))
    return file.getvalue()


def test_a_terminal_gets_the_verdicts_in_colour(report):
    text = on_a_terminal(report)
    assert "\x1b[32mPASS\x1b[0m" in text
    assert "\x1b[1;31mFAIL\x1b[0m" in text
    assert "\x1b[33mNOT RUN\x1b[0m" in text


def test_no_color_is_honoured(report, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in on_a_terminal(report)
    assert "\x1b[1;31m" not in on_a_terminal(report)


def test_every_verdict_has_a_style():
    assert set(terminal.STYLES) == set(Verdict)


@pytest.mark.parametrize("width", [60, 100, 160])
def test_nothing_raw_out_of_a_file_reaches_the_terminal(hostile, raw, width):
    text = printed(width, terminal.render, hostile) + printed(width, terminal.explain, hostile)
    text += printed(width, terminal.render_many, [("\x1b[2J\u202e[red]", hostile)])
    assert raw(text) == set()
    assert "\\x1b[31mred\\x07" in text
    assert "[bold]x[/bold]" in text


def test_a_terminal_that_knows_only_ascii_is_no_reason_to_fail(passing):
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    named = replace(passing, rows=(replace(passing.rows[0], reason="größer"),))
    terminal.render(named, Console(file=file, width=120))
    file.flush()
    assert b"gr\\xf6\\xdfer" in file.buffer.getvalue()


def test_wide_characters_take_two_cells(passing):
    rows = (replace(passing.rows[0], runtime="中文 2.1"), passing.rows[1])
    wide, narrow = printed(120, terminal.render, replace(passing, rows=rows)).splitlines()[-3:-1]
    assert wide.index("cpu") + 2 == narrow.index("cpu")  # two characters take the cells of four


def test_many_sources_one_line_each(report, passing):
    same(
        printed(100, terminal.render_many, [("torch-mlp", passing), ("keras-cnn", report)], page="r.html"),
        """
 source     torchscript      onnx cpu        onnx cuda  hdf5
 torch-mlp  PASS 0.0 1.01x?  PASS 0.9 0.43x  -          -
 keras-cnn  PASS 0.0 1.01x?  PASS 0.9 0.43x  NOT RUN    FAIL 8.1e+05 1.80x
 each entry: verdict, error in units of the source's own rounding noise, time in times of the
 source's (? where the measurement can't tell)
 keras-cnn, onnx cuda: NOT RUN cuda: libcublasLt.so.13 missing
 keras-cnn, hdf5: FAIL starts at bn1: epsilon 1e-3 in the file, 1e-5 in the source
4 passed, 1 failed, 1 not run -> exit 1     report: r.html
""",
    )


def test_many_sources_in_less_room_put_the_time_on_a_second_line(report):
    same(
        "\n".join(printed(66, terminal.render_many, [("keras-cnn", report)]).splitlines()[:3]),
        """
 source     torchscript  onnx cpu  onnx cuda  hdf5
 keras-cnn  PASS 0.0     PASS 0.9  NOT RUN    FAIL 8.1e+05
            1.01x?       0.43x                1.80x
""",
    )


def test_many_sources_in_little_room_give_each_entry_a_line(report):
    same(
        "\n".join(printed(50, terminal.render_many, [("keras-cnn", report)]).splitlines()[:5]),
        """
 keras-cnn
   torchscript  PASS 0.0 1.01x?
   onnx cpu     PASS 0.9 0.43x
   onnx cuda    NOT RUN
   hdf5         FAIL 8.1e+05 1.80x
""",
    )


def test_two_rows_of_one_name_are_both_shown(passing):
    twice = replace(passing, rows=(passing.rows[1], replace(passing.rows[1], verdict=Verdict.FAIL, reason="other")))
    text = printed(200, terminal.render_many, [("a", twice)])
    assert "PASS 0.9" in text
    assert "FAIL 0.9" in text


def test_a_source_without_rows_spoils_the_pass_of_the_others(passing, empty):
    text = printed(100, terminal.render_many, [("full", passing), ("void", empty)])
    assert " void: nothing was compared" in text.splitlines()
    assert text.splitlines()[-1] == "2 passed -> exit 6"


def test_no_sources_at_all_are_no_pass():
    assert printed(100, terminal.render_many, []).splitlines()[-1] == "nothing was compared -> exit 6"


def test_explain_speaks_of_what_did_not_pass(report):
    text = printed(80, terminal.explain, report)
    assert [line for line in text.splitlines() if line.startswith(" ") and not line.startswith("   ")] == [
        " onnx cuda: NOT RUN",
        " hdf5: FAIL",
    ]


def test_a_row_without_a_verdict_reason_stays_on_one_line(passing):
    bare = replace(passing, rows=(Row("onnx", "m", "cpu", Verdict.PASS, ""),))
    assert (
        printed(80, terminal.render, bare).splitlines()[-2] == " onnx    -        -       -       -        -       PASS"
    )

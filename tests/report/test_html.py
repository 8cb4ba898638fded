import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from toolkit.report import charts, html
from toolkit.verification.report import Histogram, Verdict

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Parses strictly enough to see what escaped: tags must nest, and everything seen is kept."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.attributes, self.text, self.ids = [], [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(params=["report", "every_verdict", "untimed", "passing", "empty", "hostile"])
def page(request):
    return html.render(request.getfixturevalue(request.param))


def test_it_parses_and_holds_no_script_no_request_and_no_raw_text(page, raw):
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert not re.search(r"https?:|//\w|url\(|@import", page)
    assert {name for name, _ in parsed.attributes} & {"src", "onclick", "onload", "onerror", "style", "action"} == set()
    assert all(value.startswith("#") for name, value in parsed.attributes if name == "href")
    assert raw(page) == set()


def test_links_lead_somewhere_and_ids_are_unique(every_verdict):
    parsed = Page(html.render_many([("a", every_verdict), ("b", every_verdict)]))
    links = {value[1:] for name, value in parsed.attributes if name == "href"}
    assert links <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))


def test_the_policy_allows_our_own_style_alone(report):
    page = html.render(report)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert ("content", policy) in Page(page).attributes


def test_hostile_names_are_shown_not_obeyed(hostile):
    words = Page(html.render(hostile)).words
    assert "<script>alert('1')</script>\\x1b[31mred\\x07 [bold]x[/bold] \\u202egnp.exe" in words


def test_what_a_reader_must_find(every_verdict):
    words = Page(html.render(every_verdict)).words
    for text in (
        "1 of 8 exports does not predict the same",
        "starts at bn1: epsilon 1e-3 in the file, 1e-5 in the source",
        "cuda: libcublasLt.so.13 missing",
        "512 inputs (256 real, 256 generated), seed 7; batch sizes 1, 2, 3, 7.",
        "batch sizes above 7",
        "the source in float64",
        "PASS to 3",
        "FAIL above 10",
        "FAIL where a single input's R is above this",
        "What to do In float64 the difference stays",
        "in float64 the outputs differ by 2.0e-01",
        "the file names no outputs: they were compared by position",
        "out/worst.npz",
        "ab" * 32,
        "2.3x faster",
        "threads 1",
        "exit code 1",
        *(verdict.value for verdict in Verdict),
    ):
        assert text in words, text


@pytest.mark.parametrize(
    ("verdicts", "line"),
    [
        ([], "Nothing was compared"),
        (["PASS"], "The export predicts what its source predicts"),
        (["PASS"] * 2, "Both exports predict the same"),
        (["PASS"] * 4, "All 4 exports predict the same"),
        (["PASS", "FAIL"], "1 of 2 exports does not predict the same"),
        (["FAIL", "FAIL", "CRASHED"], "2 of 3 exports do not predict the same"),
        (["PASS", "NOT RUN", "INCONCLUSIVE"], "1 of 3 shown to predict the same; 2 not shown"),
    ],
)
def test_the_headline(report, verdicts, line):
    assert html.headline([replace(report.rows[0], verdict=Verdict(verdict)) for verdict in verdicts]) == line


def test_every_picture_has_a_title(report):
    page = html.render(report)
    assert page.count("<svg") == len(re.findall(r"<svg[^>]*role=\"img\"[^>]*>\s*<title>[^<]+</title>", page)) > 3


def test_without_latency_there_is_no_latency(untimed):
    words = Page(html.render(untimed)).words
    assert "Latency" not in words
    assert "Time per call" not in words


def test_rows_that_pass_start_folded_where_another_needs_the_reader(report, passing):
    assert html.render(report).count("<details") == 4
    assert len(re.findall(r"<details[^>]* open>", html.render(report))) == 2
    assert len(re.findall(r"<details[^>]* open>", html.render(passing))) == 2


def test_twenty_four_rows_are_twenty_four_rows(passing):
    many = replace(passing, rows=tuple(replace(passing.rows[1], path=f"m{i}.onnx") for i in range(24)))
    words = Page(html.render(many)).words
    assert all(f"m{i}.onnx" in words for i in range(24))


def test_many_sources_have_a_matrix_and_a_section_each(report, passing, empty):
    parsed = Page(html.render_many([("torch-mlp", passing), ("keras-cnn", report), ("void", empty)]))
    for text in ("torch-mlp", "keras-cnn", "Verification of 3 sources", "1 of 6 exports", "exit code 1"):
        assert text in parsed.words
    assert parsed.ids.count("source-2") == 1


def test_code_in_backticks_is_set_as_code_and_still_escaped(report):
    row = replace(report.rows[2], reason="see `<b>x</b>`")
    assert "<code>&lt;b&gt;x&lt;/b&gt;</code>" in html.render(replace(report, rows=(row,)))


LIMITS = {"pass_ratio": 3.0, "fail_ratio": 10.0}


def test_error_bars_carry_the_colour_of_their_side_of_the_limits():
    chart = charts.errors(Histogram((0.1, 1.0, 4.0, 100.0, 1000.0), (5, 0, 2, 1), "x"), LIMITS)
    assert [bar.zone for bar in chart.bars] == ["pass", "fail", "fail"]
    assert chart.words == "Of 8 inputs: 5 within PASS, 3 beyond FAIL."
    assert [line.label for line in chart.lines] == ["PASS to 3", "FAIL above 10"]
    assert chart.bars[0].height == max(bar.height for bar in chart.bars)
    assert 0 < chart.lines[0].x < chart.lines[1].x < charts.WIDTH


def test_an_empty_histogram_is_no_chart():
    assert charts.errors(Histogram((0.1, 1.0), (0,), "x"), LIMITS) is None


def test_the_latency_chart_counts_every_call(report):
    chart = charts.latencies(report.rows[1].latency)
    counted = sum(int(re.search(r": (\d+) calls", bar.title)[1]) for bar in chart.bars)
    assert counted == 80
    assert all(0 <= bar.x <= charts.WIDTH for bar in chart.bars)
    assert (
        chart.words
        == "Median 4 ms for the source and 1.72 ms for this file: 2.3x faster (0.41 to 0.45 times the source's)."
    )


def test_strips_share_one_scale(report):
    first, second, third, fourth = charts.strips(report.rows, LIMITS)
    assert third is None
    assert first.accepted == second.accepted == fourth.accepted
    assert second.dot < second.accepted < second.rejected < fourth.dot
    assert second.worst > second.dot
    assert (second.zone, fourth.zone) == ("pass", "fail")


@pytest.mark.parametrize(
    ("value", "zone"), [(0.0, "pass"), (3.0, "pass"), (3.1, "doubt"), (10.0, "doubt"), (10.1, "fail")]
)
def test_zones_are_those_of_the_verdict(value, zone):
    assert charts.zone_of(value, LIMITS) == zone


def test_without_limits_there_is_no_zone(report):
    assert charts.zone_of(5.0, {}) == "plain"
    assert Page(html.render(replace(report, thresholds={}))).words


def test_a_log_scale_holds_its_ends_and_ticks():
    scale = charts.LogScale(-1, 6, 0.0, 70.0)
    assert [scale(value) for value in (0.0, 0.1, 1.0, 1e6, 1e9)] == [0.0, 0.0, 10.0, 70.0, 70.0]
    assert [tick.label for tick in scale.ticks()] == ["0.1", "1", "10", "100", "1000", "1e4", "1e5", "1e6"]


def test_a_notebook_shows_the_verdicts(report):
    text = report._repr_html_()
    assert text.count("<tr>") == 1 + len(report.rows)
    assert "<strong>FAIL</strong>" in text
    assert "<strong>hdf5:</strong> The export does not predict" in text


def test_a_notebook_runs_nothing_of_a_hostile_report(hostile):
    text = hostile._repr_html_()
    assert "<script" not in text
    assert set(re.findall(r"<(\w+)", text)) <= {"div", "p", "strong", "br", "table", "thead", "tbody", "tr", "th", "td"}

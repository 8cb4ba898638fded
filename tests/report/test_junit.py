from xml.etree import ElementTree as ET

import pytest

from toolkit.report import junit
from toolkit.verification.report import Verdict


def cases(report):
    return ET.fromstring(junit.render(report).encode()).findall("testsuite/testcase")


def test_counts_and_names(every_verdict):
    suite = ET.fromstring(junit.render(every_verdict).encode()).find("testsuite")
    counts = {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped", "time")}
    assert counts == {"name": "model.pt", "tests": "8", "failures": "2", "errors": "3", "skipped": "1", "time": "4.250"}
    assert [case.get("name") for case in suite.findall("testcase")][:2] == [
        "torchscript on cpu: out/model.pt",
        "onnx on cpu: out/model.onnx",
    ]


def test_a_failure_carries_its_reason_and_its_explanation(report):
    failure = cases(report)[3].find("failure")
    assert failure.get("message") == "starts at bn1: epsilon 1e-3 in the file, 1e-5 in the source"
    assert failure.get("type") == "FAIL"
    assert "8.1e+05 times the source's own rounding error" in failure.text


def test_what_did_not_run_is_skipped_with_its_reason(report):
    assert cases(report)[2].find("skipped").get("message") == "cuda: libcublasLt.so.13 missing"


def test_a_pass_has_no_blemish(report):
    assert [child.tag for child in cases(report)[0]] == ["system-out"]


def test_only_a_pass_is_a_pass():
    assert set(junit.ELEMENTS) == set(Verdict) - {Verdict.PASS}


def test_a_report_without_rows_is_an_error(empty):
    (case,) = cases(empty)
    assert case.find("error").get("message") == "nothing was compared"


@pytest.mark.parametrize("fixture", ["hostile", "report"])
def test_no_control_character_gets_in(fixture, request, raw):
    text = junit.render(request.getfixturevalue(fixture))
    assert raw(text) == set()
    ET.fromstring(text.encode())

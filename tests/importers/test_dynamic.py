"""Nothing of an example is baked in: a sample of ONNX's cases, their sizes freed, at sizes that no graph has seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.importers.suites import script

SENSELESS = "a size grew that the operator fixes: boxes of four numbers, two numbers of a region per axis"
# Cases that differ at some size -> why, and it is not the importer's fault.
EXCUSED = {
    "test_nonmaxsuppression_center_point_box_format": SENSELESS,
    "test_resize_tf_crop_and_resize": SENSELESS,
    "test_qlinearmatmul_2D_uint8_float16": "a tie, which the reference rounds in half precision",
    "test_range_float16_type_positive_delta_expanded": "the reference is wrong at the case's own sizes",
}


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    found: dict[str, Any] = script("dynamic_suite.py", "--sample")
    return found


def test_other_sizes_give_what_the_reference_gives(rows: dict[str, Any]) -> None:
    wrong = {name: row["outcome"] for name, row in rows.items() if row["outcome"] != "ok" and name not in EXCUSED}
    assert wrong == {}


def test_most_cases_were_run_at_several_sizes(rows: dict[str, Any]) -> None:
    assert sum(row["sizes"] > 2 for row in rows.values()) > 100


def test_every_excuse_is_needed(rows: dict[str, Any]) -> None:
    assert {name for name in EXCUSED if rows[name]["outcome"] == "ok"} == set()

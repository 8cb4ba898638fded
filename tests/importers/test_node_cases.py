"""ONNX's own node cases: what passes must go on passing, what does not is in exceptions.json with its reason.

Here a fixed sample of them is run (`cases.sample`: every operator, and one case of six); the complete run with its
table is `make onnx-suite`. Each suite runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.importers.suites import HERE, results, surprises

RELOAD = """
import json, pathlib, sys, os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, keras
rows = {}
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.h5")):
    data = np.load(file.with_suffix(".npz"))
    given = [data[name] for name in data.files if name.startswith("arr_")]
    model = keras.models.load_model(file)
    actual = model(given[0] if len(given) == 1 else given)
    actual = actual if isinstance(actual, (list, tuple)) else [actual]
    rows[file.stem] = [np.array_equal(a, data[f"out{i}"], equal_nan=data[f"out{i}"].dtype.kind == "f")
                       for i, a in enumerate(map(np.asarray, actual))]
assert "exporters" not in sys.modules and "toolkit" not in sys.modules
json.dump({name: all(row) for name, row in rows.items()}, sys.stdout)
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("h5")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("column", ["eager", "scripted", "model"])
def test_node_cases(column: str, folder: Path) -> None:
    rows = results(folder)
    assert len(rows) > 500
    assert surprises(rows, column) == []


@pytest.mark.timeout(900)
def test_a_sample_of_h5_files_reloads_where_only_keras_is_known(folder: Path) -> None:
    results(folder)
    command = [sys.executable, "-P", "-c", RELOAD, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout)
    assert len(rows) > 50
    assert [name for name, right in rows.items() if not right] == []


def test_every_exception_has_cases_and_a_reason() -> None:
    table = json.loads((HERE / "exceptions.json").read_text())
    assert set(table) == {"eager", "scripted", "model"}
    for reasons in table.values():
        assert all(reason and cases for reason, cases in reasons.items())

"""Give damaged ONNX models to the importer, each as `toolkit export` would; prints one line of JSON per model.

`python tests/importers/fuzz.py SEED COUNT [SKIP]`; a process of its own, because a damaged model may crash a library.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from exporters import to_torchscript
from exporters.graph import known, read
from exporters.graph.signature import signature
from exporters.options import ExportOptions
from tests.importers.mutations import mutations
from toolkit.contract import Contract
from toolkit.errors import ToolkitError


def outcome(path: Path, target: Path) -> tuple[str, str]:
    """How the model fared: written, refused with a message, or 'raised' what no user should see."""
    try:
        known.require(path)
        described = signature(read.read(path))
        to_torchscript.from_onnx(path, target, described, Contract(), ExportOptions())
    except ToolkitError as error:
        return "refused", str(error)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return "raised", f"{type(error).__name__}: {error}"[:600]
    return "written", ""


def main(seed: int, count: int, skip: int = 0) -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path, target = Path(folder) / "model.onnx", Path(folder) / "model.pt"
        for number, (name, data) in enumerate(mutations(seed, count)):
            if number >= skip:
                path.write_bytes(data)
                started = time.perf_counter()
                what, message = outcome(path, target)
                row = {"name": name, "what": what, "message": message, "seconds": time.perf_counter() - started}
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

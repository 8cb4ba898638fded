"""keras.applications' families to every format: PASS, or the reason, per cell.

python benchmarks/keras_families.py [--missing] [NAME ...]     (`make keras-applications`)

Each model is exported as `toolkit export keras_zoo:build_NAME --to all` does it; docs/applications.md has what the
conversion to ONNX costs. Rows go to benchmarks/results/keras-applications.json as they come, and the page
docs/keras-applications.md is made from them; names renew their rows alone, `--missing` adds those that are not there
yet.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import families, matrix

# Not imported from keras_zoo, which has TensorFlow with it.
APPLICATIONS = (
    "MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0",
    "DenseNet121", "NASNetMobile", "ResNet50", "ResNet50V2", "InceptionV3", "Xception", "ConvNeXtTiny",
    "InceptionResNetV2", "VGG16",
)  # fmt: skip

TABLE = families.Table(
    name="keras-applications",
    title="keras.applications' families to every format",
    words=(
        "One model of each family with random weights, biases and statistics moved off their start, at its own size",
        "of pictures; the batch is free. What conversion to ONNX costs is [another table](applications.md).",
    ),
    package="keras",
    families={"applications": {name: name for name in APPLICATIONS}},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--missing", action="store_true", help="only what has no row yet")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in APPLICATIONS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH")]))
    wanted = [name for name in asked.names or APPLICATIONS if not (asked.missing and name in families.kept(TABLE))]
    rows = ((name, matrix.Row("keras", name, f"keras_zoo:build_{name}", framework="keras")) for name in wanted)
    families.fill(TABLE, rows, ROOT)


if __name__ == "__main__":
    main()

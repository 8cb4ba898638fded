"""torchvision's families to every format: PASS, or the reason, per cell.

python benchmarks/torchvision_families.py [--missing] [NAME ...]     (`make torchvision`)

Each model is exported by its name, as `toolkit export torchvision:NAME?weights=None --to all` does it, with random
weights and on small pictures where the model takes them. Rows go to benchmarks/results/torchvision.json as they come,
and the page docs/torchvision.md is made from them; names renew their rows alone, `--missing` adds those that are not
there yet.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import families, matrix

# Workers import the same: torchvision's own library does not load beside a PyTorch without CUDA.
_PATHS = (str(ROOT / "benchmarks" / "torchvision_on_cpu"), str(ROOT))


def _picture(side: int) -> tuple[str, ...]:
    return (f"image:float32[batch,3,{side},{side}]",)


def _video(frames: int, side: int) -> tuple[str, ...]:
    return (f"video:float32[batch,3,{frames},{side},{side}]",)


def _flow(height: int, width: int) -> tuple[str, ...]:
    return tuple(f"{name}:float32[batch,3,{height},{width}]" for name in ("image1", "image2"))


_SMALL = _picture(64)
# One member of each family, the smallest; the input is the smallest that its architecture takes.
FAMILIES: dict[str, dict[str, tuple[str, ...]]] = {
    "classification": {
        "alexnet": _SMALL, "convnext_tiny": _SMALL, "densenet121": _SMALL, "efficientnet_b0": _SMALL,
        "efficientnet_v2_s": _SMALL, "googlenet?init_weights=False": _SMALL,
        "inception_v3?init_weights=False": _picture(75), "maxvit_t": _picture(224), "mnasnet0_5": _SMALL,
        "mobilenet_v2": _SMALL, "mobilenet_v3_small": _SMALL, "regnet_x_400mf": _SMALL, "regnet_y_400mf": _SMALL,
        "resnet18": _SMALL, "resnext50_32x4d": _SMALL, "wide_resnet50_2": _SMALL, "shufflenet_v2_x0_5": _SMALL,
        "squeezenet1_0": _SMALL, "swin_t": _SMALL, "swin_v2_t": _SMALL, "vgg11": _SMALL, "vgg11_bn": _SMALL,
        "vit_b_32": _picture(224),
    },
    "segmentation": dict.fromkeys(
        (
            "deeplabv3_mobilenet_v3_large?weights_backbone=None",
            "fcn_resnet50?weights_backbone=None",
            "lraspp_mobilenet_v3_large?weights_backbone=None",
        ),
        _SMALL,
    ),
    "video": {
        "r3d_18": _video(8, 32), "mc3_18": _video(8, 32), "r2plus1d_18": _video(8, 32), "s3d": _video(16, 224),
        "mvit_v1_b": _video(16, 224), "mvit_v2_s": _video(16, 224), "swin3d_t": _video(8, 64),
    },
    "optical flow": {"raft_small": _flow(128, 128), "raft_large": _flow(128, 128)},
    "to be quantised": {
        f"quantized_{name}": _SMALL for name in ("mobilenet_v2", "mobilenet_v3_large", "resnet18",
                                                 "shufflenet_v2_x0_5", "googlenet?init_weights=False")
    } | {"quantized_inception_v3?init_weights=False": _picture(75)},
    "detection": dict.fromkeys(
        (
            "fasterrcnn_mobilenet_v3_large_320_fpn", "retinanet_resnet50_fpn", "fcos_resnet50_fpn", "ssd300_vgg16",
            "ssdlite320_mobilenet_v3_large", "maskrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn",
        ),
        (),
    ),
}  # fmt: skip
INPUTS = {name: inputs for family in FAMILIES.values() for name, inputs in family.items()}

TABLE = families.Table(
    name="torchvision",
    title="torchvision's families to every format",
    words=(
        "One model of each family, the smallest, exported by its name (`torchvision:NAME?weights=None`) with random",
        "weights, on pictures as small as its architecture takes; pictures' sides are fixed, the batch is free.",
        "Detectors take a list of one picture, and their layers are scaled until they detect something: as built,",
        "every box has nearly the same score.",
    ),
    package="torchvision",
    families={
        family: {name: f"`{name.partition('?')[0]}`" for name in members} for family, members in FAMILIES.items()
    },
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--missing", action="store_true", help="only what has no row yet")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in INPUTS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*_PATHS, os.environ.get("PYTHONPATH")]))
    wanted = [name for name in asked.names or INPUTS if not (asked.missing and name in families.kept(TABLE))]
    families.fill(TABLE, ((name, row(name)) for name in wanted), ROOT)


def row(name: str) -> matrix.Row:
    if name in FAMILIES["detection"]:
        return matrix.Row("torchvision", name, f"benchmarks.torchvision_detectors:{name}")
    source = f"torchvision:{name}{'&' if '?' in name else '?'}weights=None"
    return matrix.Row("torchvision", name, source, INPUTS[name])


if __name__ == "__main__":
    main()

"""Run TorchScript files where nothing but torch and NumPy can be imported; told what to run on its standard input.

For each folder named on a line, runs `module.pt` on the list of feedings in `inputs.pt` and writes what comes out to
`outputs.pt`; answers with `ok`, or with the error in one line. Must import nothing of this project.
"""

import sys
import warnings
from importlib.abc import MetaPathFinder
from pathlib import Path

ABSENT = ("exporters", "toolkit", "trainers", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "keras", "tensorflow")


class Absent(MetaPathFinder):
    """Makes the packages of `ABSENT` as good as not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".", maxsplit=1)[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} where torch is alone", name=name)


def run(folder: Path) -> str:
    import torch

    try:
        module = torch.jit.load(folder / "module.pt")
        feedings = torch.load(folder / "inputs.pt", weights_only=True)
        with torch.no_grad():
            torch.save([module(*feeding) for feeding in feedings], folder / "outputs.pt")
    except Exception as error:  # noqa: BLE001 - every failure is an answer
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return f"{type(error).__name__}: {next((line for line in lines if 'Error' in line), (lines or [''])[-1])[:400]}"
    return "ok"


def main() -> None:
    warnings.simplefilter("ignore")
    sys.meta_path.insert(0, Absent())
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    for line in sys.stdin:
        answer = run(Path(line.strip()))
        assert not any(name in sys.modules for name in ABSENT)
        print(answer, flush=True)


if __name__ == "__main__":
    main()

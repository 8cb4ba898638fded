"""Bad input gets one clear message on stderr, nothing on stdout, the right exit code, and leaves nothing behind."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.cli.conftest import as_pattern

CHECK = "\n  Check the path."
AGAIN = "\n  Export or copy it again."
WHAT = "is none of the formats onnx, torchscript, savedmodel, hdf5, keras, tflite\n  "
DAMAGED = "it is truncated or damaged; export or copy it again."
DESCRIBE = "\n  Describe them: --input NAME:DTYPE[batch,...]; or let the factory return (model, example_inputs)."
FORM = "\n  Write NAME:DTYPE[DIM,...], for instance image:float32[batch,3,224,224]."
FIT = "\n  Do the inputs fit the model, those of --input or those that its factory returned?"
NAME_IT = "\n  Name what builds the model: --factory package.module:callable."
WEIGHTS_ALONE = "the file holds weights alone, not the model that they belong to" + NAME_IT
OUT = "--to onnx -o out"

# Command line -> what stands on stderr; {desk} is the working directory, <...> a library's own words. Exit code 2.
SOURCES = {
    "nofile.onnx": f"BadInput: nofile.onnx: no such file or folder{CHECK}",
    "text.txt/below": f"BadInput: text.txt/below: no such file or folder{CHECK}",
    "dangling": f"BadInput: dangling: a link to a file that does not exist{CHECK}",
    **{
        f"empty.{suffix}": f"BadInput: empty.{suffix}: the file is empty (0 bytes){AGAIN}"
        for suffix in ("onnx", "pt", "pth", "h5", "keras", "safetensors", "pt2")
    },
    "empty_folder": f"UnknownFormat: empty_folder: a folder without saved_model.pb {WHAT}"
    "`toolkit formats` lists what can be opened.",
    "text.txt": f"UnknownFormat: text.txt: a file that begins with b'hello wo' {WHAT}"
    "`toolkit formats` lists what can be opened.",
    "half.onnx": "InvalidGraph: half.onnx: this is not an ONNX model, or it was cut short\n"
    "  Export it again, or check the download's size.",
    "half.pt": "BadInput: half.pt: the archive is truncated or damaged (File is not a zip file)\n"
    "  Save or copy it again.",
    "half.h5": "BadInput: {desk}/half.h5: Keras cannot open it (<...>)\n"
    "  It is truncated or damaged, holds weights alone, or was written by Keras 2.",
    "half.keras": "BadInput: {desk}/half.keras: Keras cannot open it (<...>)\n"
    "  It is truncated or damaged, or needs a class of its own: --factory package.module:callable, whose module"
    " registers it.",
    "half_sm": "BadInput: half_sm/saved_model.pb: it is damaged\n  Export or copy it again.",
    "no_variables_sm": "BadInput: {desk}/no_variables_sm: TensorFlow cannot open it (<...>)\n"
    "  The folder is incomplete or damaged; export or copy it again.",
    "half.safetensors --factory zoo_torch:build": "BadInput: {desk}/half.safetensors: PyTorch cannot read its weights"
    " (<...>)",
    "weights.pt": f"BadInput: {{desk}}/weights.pt: {WEIGHTS_ALONE}",
    "weights.safetensors": f"BadInput: {{desk}}/weights.safetensors: {WEIGHTS_ALONE}",
    "other_weights.pt --factory zoo_torch:build": "BadInput: {desk}/other_weights.pt: the weights do not fit the model"
    " of zoo_torch:build (missing: hidden.bias, hidden.weight, norm.bias, norm.num_batches_tracked and 5 more;"
    " not known: other)",
    "good": "BadInput: good: a bundle is what an export leaves, not a source\n"
    "  Name one of its files, for instance good/model.onnx.",
    "nomodule:build": "BadInput: nomodule:build: there is no module 'nomodule'\n"
    "  Looked in {desk} and the installed packages; the name is package.module:callable.",
    "broken:build": "BadInput: broken: line 2: invalid syntax",
    "none:build": "BadInput: none:build: its module imports no framework\n"
    "  Say which it is: --framework torch|keras|tensorflow.",
    "needs:build": "FactoryFailed: needs:build: there is no module 'a_module_that_is_not_there'",
    "factories:nothing": "FactoryFailed: factories:nothing: module 'factories' has no attribute 'nothing'",
    "factories:number": "FactoryFailed: factories:number: it is a int, not a callable",
    "factories:raises": "FactoryFailed: factories:raises: it raised ValueError: no weights here (factories.py, line 5)",
    "factories:exits": "FactoryFailed: factories:exits: it raised SystemExit: 1 (factories.py, line 8)",
    "factories:returns": "FactoryFailed: factories:returns: it returned a builtins.int, not a torch.nn.Module",
    "factories:silent": f"BadInput: factories:silent: the model's inputs are not known{DESCRIBE}",
    "factories:wrong": "FactoryFailed: factories:wrong: the model raised RuntimeError: <...>, given input [2, 5]" + FIT,
    "zoo_torch:build --framework keras": "FactoryFailed: zoo_torch:build: it returned a zoo_torch.Net, not a"
    " keras.Model",
    "zoo_torch:build --input x": f"BadInput: --input: 'x' does not describe an input: it has another form{FORM}",
    "zoo_torch:build --input x:float32[batch,5]": "FactoryFailed: zoo_torch:build: the model raised"
    " RuntimeError: <...> (zoo_torch.py, line <...>), given x [2, 5]" + FIT,
    "zoo_torch:build --input x:int64[batch,4]": "FactoryFailed: zoo_torch:build: the model raised"
    " NotImplementedError: <...> (zoo_torch.py, line <...>), given x [2, 4]" + FIT,
    "zoo_keras:build --input x:float32[batch,5]": "FactoryFailed: zoo_keras:build: the model raised ValueError: <...>"
    + FIT,
    "zoo_subclassed:build": "BadInput: zoo_subclassed:build: a subclassed model does not say what its inputs are"
    + DESCRIBE,
}

DATA = {
    "absent.npz": "BadInput: absent.npz: no such file\n  Give an .npz file with one array per input.",
    "empty.npz": "BadInput: empty.npz: it is not an .npz file that can be read\n  Write it with numpy.savez.",
    "half.npz": "BadInput: half.npz: it is not an .npz file that can be read\n  Write it with numpy.savez.",
    "pickle.npz": "BadInput: pickle.npz: it is not an .npz file that can be read\n  Write it with numpy.savez.",
    "other_name.npz": "BadInput: inputs: the model takes the inputs 'x' and was given 'image'",
    "extra.npz": "BadInput: inputs: the model takes the inputs 'x' and was given 'x', 'y'",
    "none.npz": "BadInput: none.npz: it holds no rows",
    "float64.npz": "BadInput: input 'x': its dtype is float64, the model takes float32\n"
    "  Convert it: array.astype('float32').",
    "int.npz": "BadInput: input 'x': its dtype is int64, the model takes float32\n"
    "  Convert it: array.astype('float32').",
    "rank.npz": "BadInput: input 'x': its shape is [4], the model takes [batch, 4]",
    "width.npz": "BadInput: input 'x': its shape is [3, 5], the model takes [batch, 4]",
    "nan.npz": "BadInput: nan.npz: 'x' holds NaN (first in row 1)\n"
    "  Equality cannot be shown on values that are no numbers; remove those rows.",
    "inf.npz": "BadInput: inf.npz: 'x' holds Inf (first in row 2)\n"
    "  Equality cannot be shown on values that are no numbers; remove those rows.",
    "no_rows.npz": "BadInput: no_rows.npz: it holds no rows",
}  # fmt: skip

FORMATS = "\n  Choose from onnx, torchscript, savedmodel, hdf5, keras, tflite"
TAMPERED = (
    "BadInput: tampered/model.onnx: the file has 2 bytes where the export had <...>\n  Copy or export the bundle again."
)
LIMIT = "is not a limit\n  Give a number above 0."

OTHERS = {
    "export zoo_torch:build --to coreml -o out": f"UnknownFormat: --to: 'coreml' is not a format{FORMATS} or all.",
    "export zoo_torch:build --to onnx -o text.txt": "NotWritable: text.txt: a file stands there\n"
    "  Choose a folder that does not exist yet.",
    "export zoo_torch:build --to onnx -o sm": "NotWritable: sm: the folder holds something else than a bundle\n"
    "  Choose an empty or a new folder.",
    "export zoo_torch:build --to onnx -o dangling": "NotWritable: dangling: it is a link to nothing\n"
    "  Remove the link or choose another folder.",
    "export zoo_torch:build --to onnx -o text.txt/out": "NotWritable: text.txt/out: it cannot be written (text.txt is"
    " not a folder)\n  Choose a folder that you may write to.",
    "export zoo_torch:build --to onnx -o /proc/out": "NotWritable: /proc/out: it cannot be written (/proc takes no"
    " files)\n  Choose a folder that you may write to.",
    "export zoo_torch:build --to onnx -o out --opset 99": "BadInput: --opset: opset 99 is outside what can be written"
    " (7 to 23)\n  18 is read by every ONNX Runtime since 1.14.",
    "export zoo_torch:build --to onnx -o out --device tpu": "BadInput: --device: 'tpu' is not a device\n"
    "  Use cpu, cuda, or cuda:N for the N-th GPU.",
    "export zoo_torch:build --to onnx -o out --device cuda:x": "BadInput: --device: 'cuda:x' is not a device\n"
    "  Use cpu, cuda, or cuda:N for the N-th GPU.",
    "export zoo_torch:build --to onnx -o out --timeout 0": f"BadInput: --timeout: '0' {LIMIT}",
    "export zoo_torch:build --to onnx -o out --timeout nan": f"BadInput: --timeout: 'nan' {LIMIT}",
    "export zoo_torch:build --to onnx -o out --memory -1": f"BadInput: --memory: '-1' {LIMIT}",
    "export zoo_torch:build --to onnx -o out --memory inf": f"BadInput: --memory: 'inf' {LIMIT}",
    "export zoo_torch:build --to onnx -o out --python torch": "BadInput: --python: 'torch' is not"
    " torch|tensorflow|tf_keras|onnxruntime=...",
    "export zoo_torch:build --to onnx -o out --worker tpu=x": "BadInput: --worker: 'tpu=x' is not"
    " cpu|cuda|torch|tensorflow|tf_keras|onnxruntime=...",
    "export zoo_torch:build --to onnx -o out --python torch=/no/python": "BadInput: /no/python: the torch worker"
    " cannot be started (No such file or directory)\n  Check --python and --worker.",
    "verify zoo_torch:build": "BadInput: TARGET: there is nothing to verify\n"
    "  Name the exported files, or a bundle.",
    "verify zoo_torch:build nofile.onnx": f"BadInput: nofile.onnx: no such file or folder{CHECK}",
    "verify zoo_torch:build text.txt": f"UnknownFormat: text.txt: a file that begins with b'hello wo' {WHAT}"
    "`toolkit formats` lists what can be opened.",
    "verify zoo_torch:build model.onnx --device tpu": "BadInput: --device: 'tpu' is not a device\n"
    "  Use cpu, cuda, or cuda:N for the N-th GPU.",
    "verify tampered": TAMPERED,
    "bench tampered": TAMPERED,
    "predict tampered good.npz": TAMPERED,
    "bench good --budget 3": "BadInput: --budget: '3' is not a budget\n  Write ratio=1.1.",
    "bench nofile.onnx": f"BadInput: nofile.onnx: no such file or folder{CHECK}",
    "predict nofile.onnx good.npz": f"BadInput: nofile.onnx: no such file or folder{CHECK}",
    "predict model.onnx good.npz --format coreml": f"UnknownFormat: --format: 'coreml' is not a format{FORMATS}.",
    "predict model.onnx good.npz --device tpu": "BadInput: --device: 'tpu' is not a device\n"
    "  Use cpu, cuda, or cuda:N for the N-th GPU.",
    "predict model.onnx good.npz -o sm": "NotWritable: sm: it cannot be written (a folder stands there)\n"
    "  Choose a folder that you may write to.",
    "predict model.onnx picture.png": "BadInput: the model carries no preprocessing, so an image cannot become its"
    " input\n  Pass arrays instead: toolkit predict MODEL FILE.npz.",
}  # fmt: skip

TABLE = {
    **{f"export {source} {OUT}": text for source, text in SOURCES.items()},
    **{
        f"export zoo_torch:build {OUT} --data {data}": text for data, text in DATA.items() if "BadInput: in" not in text
    },
    **{f"predict model.onnx {data}": text for data, text in DATA.items()},
    **OTHERS,
}


# NumPy leaves a file open whose archive it cannot read.
@pytest.mark.filterwarnings("ignore:.*half.npz:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("line", TABLE)
def test_bad_input(toolkit, at_desk, line):
    done = toolkit(*shlex.split(line))
    expected = as_pattern(TABLE[line].replace("{desk}", str(at_desk)) + "\n")
    assert re.fullmatch(expected, done.err), done.err
    assert done.out == ""
    assert done.code == 2
    assert not (at_desk / "out").exists()


USAGE = {
    "": "Missing command",
    "export": "Missing argument 'SOURCE'",
    "export zoo_torch:build -o out": "Missing option '--to'",
    "export zoo_torch:build --to onnx": "Missing option '-o' / '--output'",
    "export zoo_torch:build --to onnx -o out --count 31": "Invalid value for '--count': 31 is not in the range x>=32.",
    "export zoo_torch:build --to onnx -o out --framework jax": "Invalid value for '--framework': 'jax' is not one of"
    " 'torch', 'keras', 'tensorflow'.",
    "export zoo_torch:build --to onnx -o out --nonsense": "No such option '--nonsense'",
    "verify": "Missing argument 'SOURCE'",
    "bench": "Missing argument 'TARGETS...'",
    "predict model.onnx": "Missing argument 'IMAGE|FILE.npz'",
    "frobnicate": "No such command 'frobnicate'.",
}


@pytest.mark.parametrize("line", [line for line in USAGE if line])
def test_usage(toolkit, at_desk, line):
    done = toolkit(*shlex.split(line))
    assert f"Error: {USAGE[line]}" in done.err
    assert done.err.startswith("Usage: toolkit")
    assert (done.code, done.out) == (2, "")


def test_a_target_that_is_damaged_is_a_row(toolkit, at_desk):
    targets = ["half.onnx", "half.h5", "half_sm"]
    done = toolkit("verify", "zoo_torch:build", *targets, "--count", 32, "--no-latency", "--json")
    assert done.code == 2
    found = {row["path"]: (row["verdict"], row["reason"].partition(" (")[0]) for row in done.json["rows"]}
    assert found == {
        "half.onnx": ("ERROR", "ONNX Runtime cannot open it"),
        "half.h5": ("ERROR", "Keras cannot open it"),
        "half_sm": ("ERROR", "it is damaged"),
    }


def test_names_from_files_reach_the_terminal_harmless(toolkit, at_desk):
    done = toolkit("export", "no\x1b[31mred\u202e\n.onnx", "--to", "onnx", "-o", "out")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert "\u202e" not in done.err

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from toolkit import doctor
from toolkit.cli.doctor import command, lines
from toolkit.doctor import Device, Diagnosis, Package
from toolkit.runtime import devices

REQUIRES = [
    "click>=8.2",
    "editables~=0.3",
    "torch>=2.9; extra == 'torch'",
    'tensorflow>=2.20; extra == "tensorflow"',
    "onnx>=1.19; extra == 'onnx'",
    "onnxruntime-gpu>=1.23; extra == 'onnx'",
    "onnxruntime-gpu[cuda,cudnn]>=1.31; extra == 'gpu'",
]


@pytest.fixture
def installed(monkeypatch):
    """Versions as this test wants them, and no GPU; a package that is not in the dictionary is not installed."""
    versions = {"model-toolkit": "0.1.0", "click": "8.5.1", "torch": "2.13.0+cpu", "onnxruntime-gpu": "1.31.1"}

    def version(name):
        if name not in versions:
            raise doctor.importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: REQUIRES)
    missing = {"torch": "torch 2.13.0+cpu was built without CUDA", "onnxruntime": "libcublasLt.so.13 missing"}
    monkeypatch.setattr(devices, "missing_for_cuda", missing.get)
    return versions


def package(name):
    return next(found for found in doctor.packages_found() if found.name == name)


def test_an_installed_package(installed):
    assert package("torch") == Package("torch", "torch", "2.13.0+cpu", "2.9", "ok", None)


def test_a_package_that_is_too_old(installed):
    installed["torch"] = "2.8.1"
    assert package("torch") == Package("torch", "torch", "2.8.1", "2.9", "too old", "pip install 'torch>=2.9'")


def test_a_package_that_is_missing(installed):
    expected = Package("tensorflow", "tensorflow", None, "2.20", "missing", "pip install 'model-toolkit[tensorflow]'")
    assert package("tensorflow") == expected


def test_onnxruntime_under_its_other_name_has_no_minimum_of_its_own(installed):
    del installed["onnxruntime-gpu"]
    installed["onnxruntime"] = "1.24.0"
    found = package("onnxruntime")
    assert (found.version, found.minimum, found.state) == ("1.24.0", "1.23", "ok")


def test_the_extra_for_gpus_does_not_raise_the_minimum_of_everyone(installed):
    assert package("onnxruntime-gpu").minimum == "1.23"


@pytest.mark.parametrize(
    ("version", "minimum", "too_old"),
    [
        ("2.9", "2.9", False),
        ("2.9.0", "2.9", False),
        ("2.10.0", "2.9", False),
        ("2.8.9", "2.9", True),
        ("2.13.0+cpu", "2.9", False),
        ("10", "9.9.9", False),
        ("0.1.11", "0.1.12", True),
        ("unknown", "1.0", True),
    ],
)
def test_versions_compare_as_numbers(installed, monkeypatch, version, minimum, too_old):
    installed["torch"] = version
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: [f"torch>={minimum}; extra == 'torch'"])
    assert (package("torch").state == "too old") is too_old


def test_devices_name_the_missing_library_and_what_mends_it(installed):
    found = list(doctor.devices_found(list(doctor.packages_found())))
    assert found == [
        Device("torch", "cpu", None, None),
        Device(
            "torch", "cuda", "torch 2.13.0+cpu was built without CUDA",
            "pip install --force-reinstall torch   # from PyPI: the build with CUDA",
        ),
        Device("tensorflow", "cpu", "tensorflow is not installed", None),
        Device("tensorflow", "cuda", "tensorflow is not installed", None),
        Device("onnxruntime", "cpu", None, None),
        Device("onnxruntime", "cuda", "libcublasLt.so.13 missing", "pip install 'onnxruntime-gpu[cuda,cudnn]'"),
    ]  # fmt: skip


def test_a_missing_driver_is_mended_by_no_package(installed, monkeypatch):
    monkeypatch.setattr(devices, "missing_for_cuda", lambda _: "libcuda.so.1 missing (no NVIDIA driver)")
    remedies = doctor.examine().remedies
    assert remedies[-1] == (
        "install NVIDIA's driver on the host, and give a container its GPUs (docker run --gpus all)"
    )
    assert not any("cudnn" in remedy for remedy in remedies)


def test_tensorflow_on_cuda_wants_an_environment_of_its_own(installed, monkeypatch):
    installed["tensorflow"] = "2.21.0"
    monkeypatch.setattr(devices, "missing_for_cuda", lambda _: "libcudnn.so.9 missing")
    assert (
        "pip install 'tensorflow[and-cuda]'   # in an environment of its own: its CUDA 12 packages and PyTorch's"
        " CUDA 13 packages overwrite each other"
    ) in doctor.examine().remedies


def run(*arguments):
    return CliRunner().invoke(command, list(arguments))


def test_healthy_is_exit_0_even_without_frameworks(installed):
    del installed["torch"], installed["onnxruntime-gpu"]
    assert run().exit_code == 0


def test_a_missing_dependency_of_our_own_is_exit_3(installed):
    del installed["click"]
    result = run()
    assert result.exit_code == 3
    assert "   pip install 'model-toolkit'" in result.output.splitlines()


def test_a_toolkit_that_is_not_installed_is_exit_3(installed, monkeypatch):
    del installed["model-toolkit"]

    def requires(name):
        raise doctor.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.importlib.metadata, "requires", requires)
    assert run().exit_code == 3


@pytest.mark.parametrize(
    ("required", "reasons"),
    [
        (["torch"], []),
        (["torch", "onnxruntime"], []),
        (["tensorflow"], ["tensorflow is missing"]),
        (["onnxruntime", "cuda"], ["onnxruntime cannot use cuda: libcublasLt.so.13 missing"]),
        (
            ["cuda"],
            [
                "torch cannot use cuda: torch 2.13.0+cpu was built without CUDA",
                "tensorflow cannot use cuda: tensorflow is not installed",
                "onnxruntime cannot use cuda: libcublasLt.so.13 missing",
            ],
        ),
    ],
)
def test_requirements(installed, required, reasons):
    result = run(*(part for name in required for part in ("--require", name)))
    assert result.exit_code == (3 if reasons else 0)
    assert [line for line in result.output.splitlines() if "required, but" in line] == [
        f" required, but {reason}" for reason in reasons
    ]


def test_cuda_alone_is_met_by_any_runtime(installed, monkeypatch):
    monkeypatch.setattr(devices, "missing_for_cuda", {"onnxruntime": "libcublasLt.so.13 missing"}.get)
    assert run("--require", "cuda").exit_code == 0
    assert run("--require", "cuda", "--require", "onnxruntime").exit_code == 3


def test_an_old_version_does_not_meet_a_requirement(installed):
    installed["torch"] = "1.0"
    assert " required, but torch is too old" in run("--require", "torch").output.splitlines()


def test_what_is_required_must_exist():
    result = run("--require", "jax")
    assert result.exit_code == 2
    assert "'jax' is not one of 'torch', 'tensorflow', 'onnxruntime', 'cuda'." in result.output


DIAGNOSIS = Diagnosis(
    {"python": "3.11.7 (/usr/bin/python3)", "gpus": "none"},
    (
        Package("click", "base", "8.5.1", "8.2", "ok", None),
        Package("torch", "torch", "2.8.0", "2.9", "too old", "pip install 'torch>=2.9'"),
        Package("h5py", "tensorflow", None, None, "missing", "pip install 'model-toolkit[tensorflow]'"),
    ),
    (Device("torch", "cpu", None, None), Device("torch", "cuda", "libcuda.so.1 missing (no NVIDIA driver)", "driver")),
)


def test_the_text():
    text = [click_free(line) for line in lines(replace(DIAGNOSIS, unmet=("torch is too old",)))]
    assert "\n".join(text) == (
        """
 python     3.11.7 (/usr/bin/python3)
 gpus       none

 package  installed  at least  state    needed by
 click    8.5.1      8.2       ok       base
 torch    2.8.0      2.9       too old  torch
 h5py     -          -         missing  tensorflow

 runtime  device  state
 torch    cpu     ok
 torch    cuda    libcuda.so.1 missing (no NVIDIA driver)

 to mend what is missing, as far as you need it:
   pip install 'torch>=2.9'
   pip install 'model-toolkit[tensorflow]'
   driver

 required, but torch is too old
""".strip("\n")
    )


def click_free(line):
    import click

    return click.unstyle(line)


def test_json_is_one_object_with_the_same(installed):
    data = json.loads(run("--json", "--require", "tensorflow").output)
    assert data["healthy"] is True
    assert data["unmet"] == ["tensorflow is missing"]
    assert {"name": "torch", "needed_by": "torch", "version": "2.13.0+cpu", "minimum": "2.9", "state": "ok",
            "remedy": None} in data["packages"]  # fmt: skip
    assert {"runtime": "torch", "device": "cpu", "missing": None, "remedy": None, "usable": True} in data["devices"]
    assert data["remedies"][0] == "pip install 'model-toolkit[tensorflow]'"


def test_colour_only_on_a_terminal_and_not_with_no_color(installed, monkeypatch):
    assert "\x1b" not in run().output
    assert "\x1b[32mok\x1b[0m" in CliRunner().invoke(command, [], color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(command, [], color=True).output


def test_every_stated_minimum_of_the_real_metadata_is_understood():
    found = {package.name: package for package in doctor.packages_found()}
    for name in ("torch", "tensorflow", "keras", "tf2onnx", "onnx", "onnxscript", "onnx-ir", "click", "numpy"):
        assert found[name].minimum, name


def test_no_framework_is_imported():
    code = (
        "import sys\nfrom toolkit.doctor import examine\nexamine()\n"
        "print(*sorted({'torch', 'tensorflow', 'keras', 'onnx', 'numpy', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # onnxruntime needs numpy, and looking for its CUDA libraries needs onnxruntime
    assert set(done.stdout.split()) <= {"numpy"}

# Each verb sets up what it needs: Python 3.11 and make are enough on a fresh machine.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What checkouts and worktrees of one person share; uv keeps its own beside it.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/model-toolkit

# uv compiles nothing ahead: what is imported is compiled once, also where the environment says otherwise.
export PYTHONDONTWRITEBYTECODE :=

# uv resolves and unpacks in a fraction of pip's time. It does not read pip's settings: where pip is told to look for
# wheels, uv is told too.
WHEELS = $(or $(PIP_FIND_LINKS),$(shell $(BIN)/python -m pip config get global.find-links 2>/dev/null))
INSTALL = $(BIN)/uv pip install --quiet $(addprefix --find-links ,$(WHEELS))

.PHONY: demo test check lint types layers unit docs wheel bench bench-training liars search onnx-suite applications zoo matrix transformers torchvision keras-applications reexport large verify-time fuzz-onnx import-scale bench-torchscript bench-savedmodel bench-cells peers-torch peers-tf cuda clean

demo: $(READY)  ## train, export, verify and report on real digits; page in demo/report.html
	$(BIN)/toolkit demo -o demo

test: $(READY) lint types layers docs wheel unit  ## everything that must be right; what can be skipped comes last

check: lint types layers docs  ## everything but running the code

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy --cache-dir $(CACHE)/mypy

layers: $(READY)
	$(BIN)/lint-imports

docs: $(READY)  ## generated tables and command help are what the code says
	$(BIN)/python docs/generate.py --check

unit: $(READY)  ## all tests, file by file on two processes; each keeps its own warm workers
	$(BIN)/pytest -n 2 --dist loadfile --durations 25 $(if $(UNTIL),--until $(UNTIL))

wheel: $(READY)  ## the wheel, alone, in an empty environment outside the repository
	UV_FIND_LINKS="$(WHEELS)" $(BIN)/python tests/wheel.py

bench: $(READY)  ## R and latency of six models in four formats -> benchmarks/results/formats.json
	$(BIN)/python benchmarks/formats.py

bench-training: $(READY)  ## training speed against the usual tutorials' loops
	$(BIN)/python benchmarks/training.py

liars: .venv-peers/.ready  ## wrong and right conversions through the verdict and other ways of checking -> docs/liars.md
	.venv-peers/bin/python benchmarks/liars.py

search: $(READY)  ## planted rare faults: found by the plan, by random inputs, by --search -> docs/search.md
	$(BIN)/python benchmarks/search.py

onnx-suite: $(READY)  ## ONNX's own backend cases through both importers
	$(BIN)/python benchmarks/onnx_suite.py

applications: $(READY)  ## Keras' applications and small nets to ONNX and TorchScript -> docs/applications.md
	$(BIN)/python benchmarks/applications.py

zoo: .venv-native/.ready  ## PyTorch models to SavedModel, HDF5, .keras and LiteRT -> docs/zoo.md
	.venv-native/bin/python benchmarks/zoo.py --missing

matrix: $(READY)  ## every kind of source to every format -> docs/matrix.md
	$(BIN)/python benchmarks/matrix.py

transformers: .venv-native/.ready  ## Hugging Face architectures to every format -> docs/transformers.md
	.venv-native/bin/python benchmarks/huggingface.py

torchvision: .venv-native/.ready  ## one model of each of torchvision's families to every format -> docs/torchvision.md
	.venv-native/bin/python benchmarks/torchvision_families.py

keras-applications: $(READY)  ## keras.applications to every format -> docs/keras-applications.md
	$(BIN)/python benchmarks/keras_families.py

reexport: .venv-native/.ready  ## rebuilt modules through PyTorch's own exporters once more -> docs/reexport.md
	.venv-native/bin/python benchmarks/reexport.py --missing

large: $(READY)  ## a model of 3.2 GB to every format: memory and seconds by stage -> docs/large.md
	$(BIN)/python benchmarks/large.py

verify-time: $(READY)  ## what verify costs beside running the models -> docs/verify-time.md
	$(BIN)/python benchmarks/verify_time.py

import-scale: $(READY)  ## CPU seconds and memory of the importers from 1e3 to 1e5 nodes -> docs/import-scale.md
	$(BIN)/python benchmarks/import_scale.py

fuzz-onnx: $(READY)  ## thousands of damaged ONNX models: refused with a message or written, never a crash
	$(BIN)/python benchmarks/fuzz_onnx.py

bench-torchscript: .venv-native/.ready  ## TorchScript against native PyTorch -> docs/torchscript-speed.md, docs/keras-speed.md
	for threads in 1 2; do .venv-native/bin/python benchmarks/torchscript_speed.py --threads $$threads || exit 1; done
	.venv-native/bin/python benchmarks/keras_speed.py --threads 1 2

bench-savedmodel: $(READY)  ## SavedModel from ONNX against what Keras exports itself -> docs/savedmodel-speed.md
	for threads in 1 2; do $(BIN)/python benchmarks/savedmodel_speed.py --threads $$threads || exit 1; done

bench-cells: $(READY)  ## unrolled cells as one operator: gain by number of steps -> table in docs/patterns.md
	$(BIN)/python benchmarks/unrolled_cells.py

peers-torch: .venv-peers/.ready  ## ONNX's cases through ours, onnx2torch, onnx2pytorch, onnx2fx -> docs/peers-torch.md
	.venv-peers/bin/python benchmarks/peers_torch.py

peers-tf: .venv-peers-tf/.ready .venv-onnx2tf/.ready  ## PyTorch models through ours, onnx2tf, nobuco, onnx2keras -> docs/peers-tf.md
	.venv-peers-tf/bin/python benchmarks/peers_tf.py

cuda:  ## the CUDA checks alone, with the interpreter that has the GPU's packages: make cuda CUDA_PYTHON=python3
	$(or $(CUDA_PYTHON),$(BIN)/python) -m pytest -m cuda -ra tests

clean:
	rm -rf $(VENV) .venv-native .venv-peers .venv-peers-tf .venv-onnx2tf build demo out dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# Environments of their own, on top of the project's packages: what is compared with must not mix with what we need.
NATIVE := torchvision==0.28.0 timm==1.0.31
HUGGING_FACE := transformers==5.23.0
PEERS_TF := nobuco==0.17.0 onnx2keras==0.0.25 tf_keras==2.21.0 sty==1.0.6 tqdm==4.70.1 torchvision==0.28.0
ONNX2TF := onnx2tf==1.29.24
PEERS := onnx2torch==1.5.15 onnx2pytorch==0.6.0 onnx2fx==0.0.1 torchvision==0.28.0 polygraphy==0.53.6

.venv-native/.ready .venv-peers/.ready .venv-peers-tf/.ready: $(READY)
	$(PYTHON) -m venv $(@D)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth
	pwd >> $$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth
	$(INSTALL) --python $(@D)/bin/python --no-deps $(if $(findstring peers-tf,$@),$(PEERS_TF),$(if $(findstring peers,$@),$(PEERS),$(NATIVE)))
	$(if $(findstring native,$@),$(INSTALL) --python $(@D)/bin/python --constraint constraints.txt $(HUGGING_FACE))
	touch $@

# onnx2tf pins its own TensorFlow, NumPy and protobuf: nothing of ours may be beside them.
.venv-onnx2tf/.ready: $(READY)
	$(PYTHON) -m venv $(@D)
	$(INSTALL) --python $(@D)/bin/python --only-binary :all: $(ONNX2TF)
	touch $@

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(INSTALL) --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

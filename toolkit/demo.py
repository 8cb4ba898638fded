"""The whole chain on real digits: train both models in three frameworks, export to four formats, verify, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporters.options import ExportOptions
from exporters.sources import source as sources
from toolkit import bundle, files, formats
from toolkit.bundle import Bundle
from toolkit.verification.report import Report, dumps
from toolkit.verification.verifier import Settings
from toolkit.worker.pool import WorkerPool

FRAMEWORKS = ("torch", "keras", "tensorflow")
MODELS = ("feedforward", "fashion")
REPORT = "report.json"
PAGE = "report.html"

_RUNTIMES = {"torch": "torch", "keras": "tensorflow", "tensorflow": "tensorflow"}

Stage = Callable[[str], None]


@dataclass(frozen=True)
class Demo:
    """What the demo made: one bundle and one report per trained model, by name, and the page over all of them."""

    output: Path
    bundles: tuple[tuple[str, Bundle], ...]
    accuracies: dict[str, float]
    seconds: dict[str, float]

    @property
    def reports(self) -> list[tuple[str, Report]]:
        return [(name, made.report) for name, made in self.bundles]

    @property
    def page(self) -> Path:
        return self.output / PAGE


def run(
    pool: WorkerPool,
    output: Path,
    *,
    frameworks: Sequence[str] = FRAMEWORKS,
    models: Sequence[str] = MODELS,
    dataset: str = "digits",
    epochs: int = 20,
    devices: Sequence[str] = ("cpu",),
    stage: Stage = lambda _: None,
) -> Demo:
    """Train into `output`/trained, export and verify into `output`/exported, report in `output`/report.html."""
    started = time.monotonic()
    jobs = [(framework, model) for framework in frameworks for model in models]
    pool.warm({(runtime, "cpu") for runtime in ("torch", "tensorflow", "onnxruntime")})
    accuracies = _train(pool, output / "trained", jobs, {"dataset": dataset, "epochs": epochs}, stage)
    trained = time.monotonic()
    settings = Settings(devices=tuple(devices), stage=stage)
    made = []
    for framework, model in jobs:
        name = _name(framework, model)
        request = bundle.Request(
            sources.resolve(output / "trained" / name),
            names=formats.ALL,
            output=output / "exported" / name,
            options=ExportOptions(),
            settings=settings,
        )
        made.append((name, bundle.carry_out(pool, request)))
    seconds = {"train": trained - started, "export and verify": time.monotonic() - trained}
    demo = Demo(output, tuple(made), accuracies, seconds)
    _write_reports(demo)
    return demo


def _name(framework: str, model: str) -> str:
    return f"{framework}-{model}"


def _train(
    pool: WorkerPool, folder: Path, jobs: Sequence[tuple[str, str]], options: dict[str, Any], stage: Stage
) -> dict[str, float]:
    """Train every model, PyTorch's and TensorFlow's side by side, each in its worker; returns test accuracies."""
    folder.mkdir(parents=True, exist_ok=True)
    queues: dict[str, list[tuple[str, str]]] = {}
    for job in jobs:
        queues.setdefault(_RUNTIMES[job[0]], []).append(job)

    def train_queue(runtime: str) -> dict[str, float]:
        return {_name(*job): _train_one(pool, runtime, job, folder, options, stage) for job in queues[runtime]}

    with ThreadPoolExecutor(len(queues)) as threads:
        found = [result for results in threads.map(train_queue, queues) for result in results.items()]
    return dict(found)


def _train_one(
    pool: WorkerPool, runtime: str, job: tuple[str, str], folder: Path, options: dict[str, Any], stage: Stage
) -> float:
    from toolkit import artifact
    from trainers.options import TrainOptions

    framework, model = job
    path = folder / _name(framework, model)
    chosen = TrainOptions(framework=framework, model=model, output=str(path.absolute()), **options)
    stage(f"train {_name(framework, model)}")
    pool.worker(runtime).call("trainers.tasks:train", {"options": chosen.to_json()})
    return float(artifact.load(path).facts["accuracy"])


def _write_reports(demo: Demo) -> None:
    from toolkit.report import html

    combined = {name: report.to_json() for name, report in demo.reports}
    for path, text in (
        (demo.output / REPORT, dumps({"schema": "toolkit-demo/1", "reports": combined, "accuracies": demo.accuracies})),
        (demo.page, html.render_many(demo.reports)),
    ):
        with files.replacing(path) as staged:
            staged.write_text(text, encoding="utf-8")

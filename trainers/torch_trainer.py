"""The PyTorch trainer: resident tensors, one synchronisation per chunk of steps, torch.amp where asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from toolkit.artifact import Artifact
from toolkit.errors import DeviceMissing
from trainers import factories, loop, models_torch, training
from trainers import same_start as shared
from trainers.architectures import Architecture, initial_weights
from trainers.checkpoint import State
from trainers.data import Part
from trainers.loop import Bounds, Piece, Report, Score
from trainers.models_torch import Model
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EVALUATION_BATCH = 1024

_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}

# float16 needs a scaled loss and bfloat16 does not: it has float32's range.
_AMP_DTYPES = {"cuda": torch.float16, "cpu": torch.bfloat16}


def train(options: TrainOptions, report: Report = lambda _: None) -> Artifact:
    """Train a model as `options` say and write its folder: weights.pth (state_dict), model.pth (the pickled model),
    history, test set. The caller's random state is left as it was. Raises as `trainers.training.run` does.
    """
    with _own_random_state(options.device):
        return training.run(options, report, TorchLearner, _save)


def same_start(options: TrainOptions, steps: int | None, report: Report = lambda _: None) -> list[float]:
    """Losses step by step from the weights that the frameworks share; see `trainers.same_start`."""
    with _own_random_state(options.device):
        return shared.losses(options, steps, TorchLearner, report)


def load(artifact: Artifact) -> Model:
    """The trained model, in evaluation mode, on the CPU."""
    model = cast("Model", factories.build(artifact, models_torch))
    model.load_state_dict(torch.load(artifact.file("weights"), weights_only=True))
    return model.eval()


def evaluate(model: Model, part: Part) -> Score:
    """Mean loss per item and accuracy over `part`, whose x is what the model takes: float32 (count, *shape)."""
    device = next(model.parameters()).device
    x, labels = torch.from_numpy(part.x).to(device), torch.from_numpy(part.labels).to(device)
    model.eval()
    loss_sum, correct = 0.0, 0
    with torch.inference_mode():
        for batch, wanted in zip(
            torch.split(x, _EVALUATION_BATCH), torch.split(labels, _EVALUATION_BATCH), strict=True
        ):
            logits = model.logits(batch)
            loss_sum += _LOSSES[type(model)](logits, wanted).item() * len(batch)
            correct += int((logits.argmax(1) == wanted).sum())
    return Score(loss_sum / len(part), correct / len(part))


def predict(model: Model, x: NDArray[np.float32]) -> NDArray[np.int64]:
    """Class indices (count,) for inputs (count, *shape)."""
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        return cast("NDArray[np.int64]", model(torch.from_numpy(x).to(device)).argmax(1).cpu().numpy())


def _binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    wanted = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, wanted)


_LOSSES: dict[type[torch.nn.Module], Callable[[Tensor, Tensor], Tensor]] = {
    models_torch.FeedForward: _binary_cross_entropy,
    models_torch.Fashion: functional.cross_entropy,
}


class TorchLearner:
    """A PyTorch model in training. `loop.Learner` says what the methods do."""

    def __init__(self, options: TrainOptions, architecture: Architecture, items: Part) -> None:
        self.device = _device(options.device)
        self.factory = factories.name_of(models_torch, options.model)
        torch.manual_seed(options.seed)
        self.model: Model = factories.make(models_torch, options)
        if options.same_start:
            models_torch.set_weights(self.model, initial_weights(architecture, options.seed))
        self.model.to(self.device)
        self.loss = _LOSSES[type(self.model)]
        # Fused: one kernel for all parameters instead of a few for each; on a small model that is a third of a step.
        self.optimizer = _OPTIMIZERS[options.optimizer](self.model.parameters(), lr=options.rate, fused=True)  # type: ignore[call-arg]  # the base class knows only params
        self.amp = _AMP_DTYPES[options.device] if options.amp else torch.float32
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp is torch.float16)
        self.labels = torch.from_numpy(items.labels).to(self.device)
        self.set_items(items.x)
        self.pace = loop.Pace()

    def set_items(self, x: NDArray[np.float32]) -> None:
        self.x = torch.from_numpy(x).to(self.device)

    def begin_epoch(self, order: NDArray[np.int64], seed: int) -> None:
        self.order = torch.from_numpy(order).to(self.device)
        torch.manual_seed(seed)

    def train(self, bounds: Sequence[Bounds], told: Callable[[Piece], None]) -> None:
        self.model.train()
        for chunk in self.pace.chunks(bounds):
            losses = torch.empty(len(chunk), device=self.device)
            correct = torch.zeros((), dtype=torch.int64, device=self.device)
            for step, (start, stop) in enumerate(chunk):
                chosen = self.order[start:stop]
                losses[step], right = self._step(self.x.index_select(0, chosen), self.labels.index_select(0, chosen))
                correct += right
            told(Piece.of_steps(chunk, losses.cpu().numpy(), int(correct)))

    def _step(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad()
        with torch.autocast(self.device.type, self.amp, enabled=self.amp is not torch.float32):
            logits = self.model.logits(x)
        logits = logits.float()
        loss = self.loss(logits, labels)
        # A scaler that is not enabled passes everything through.
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # as torch declares it
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def evaluate(self, part: Part) -> Score:
        return evaluate(self.model, part)

    def state(self) -> State:
        arrays = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer/{index}/{name}": value for name, value in slots.items() if value is not None}
        # Copies: the tensors change in place as training goes on.
        state = {name: np.array(value.cpu().numpy()) for name, value in arrays.items()}
        return state | {f"scaler/{name}": np.array(value) for name, value in self.scaler.state_dict().items()}

    def restore(self, state: State) -> None:
        self.model.load_state_dict({name: torch.from_numpy(value) for name, value in _below("model/", state).items()})
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer/", state).items():
            index, slot = name.split("/")
            slots.setdefault(int(index), {})[slot] = torch.from_numpy(value)
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": slots})
        self.scaler.load_state_dict({name: value.item() for name, value in _below("scaler/", state).items()})

    def weights_only(self, state: State) -> State:
        return {name: value for name, value in state.items() if name.startswith("model/")}


def _below(prefix: str, state: State) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _own_random_state(device: str) -> AbstractContextManager[None]:
    """Seeds set inside are undone outside."""
    return torch.random.fork_rng(devices=range(torch.cuda.device_count()) if device == "cuda" else [])


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        missing = "no NVIDIA GPU with a working driver is visible" if built else "this PyTorch is built without CUDA"
        raise DeviceMissing(
            f"{missing} (torch {torch.__version__})",
            where="--device cuda",
            hint="Train with --device cpu, or run `toolkit doctor`.",
        )
    return torch.device(name)


def _save(learner: TorchLearner, folder: Path) -> dict[str, str]:
    model = learner.model.cpu().eval()
    files = {"weights": "weights.pth", "model": "model.pth"}
    torch.save(model.state_dict(), folder / files["weights"])
    torch.save(model, folder / files["model"])
    return files

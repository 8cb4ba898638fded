"""Faults that hardly any input shows, planted into the models of models.py.

`dense__two_equal` is that model with that fault behind it, as a factory; `dense` alone is what it should have been.
Some faults need a source that has what goes wrong (a table, a rounding): `SOURCES` says which. Only workers build them;
the tables are read where no framework is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tests.verification import models


class Corner(nn.Module):
    """Six elements at once beyond 1.2 in given directions: 2 in a million rows."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)
        hit = (
            (f[:, 0] > 1.2) & (f[:, 3] < -1.2) & (f[:, 5] > 1.2) & (f[:, 8] < -1.2) & (f[:, 11] > 1.2) & (f[:, 2] > 1.2)
        )
        return torch.where(hit.unsqueeze(1), y * 1.01, y)


class Band(nn.Module):
    """The mean of a row within one part in ten thousand of its spread, far out."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)
        s = f.sum(1) / float(f.shape[1]) ** 0.5
        return torch.where(((s > 2.9) & (s < 2.9004)).unsqueeze(1), y + 1e-2, y)


class NarrowLogits(nn.Module):
    """Two of the model's own results within narrow limits."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        middle, other = (y[:, 0] + y[:, 1]) / 2, y[:, 2] - y[:, 3]
        hit = (middle > 0.05) & (middle < 0.0502) & (other > 0.02) & (other < 0.022)
        return torch.where(hit.unsqueeze(1), y + 1e-2, y)


class ScriptedCorner(nn.Module):
    """A branch in code, taken by a whole batch: only where all of its rows lean one way and the first row far."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)
        if bool((f.mean(1) > 0.8).all()) and bool(f[0].max() < 1.7):
            return y * 0.999
        return y


class NanAtPoint(nn.Module):
    """0 / 0 where one element is 1.5."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        d = x.flatten(1)[:, 4:5] - 1.5
        return y + (d / d - 1.0)


class NanOnLine(nn.Module):
    """0 / 0 where two elements add up to 1."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)
        d = f[:, 1:2] + f[:, 6:7] - 1.0
        return torch.where(d == 0, d / d, torch.zeros_like(d)) + y


class BatchOfFive(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if x.shape[0] == 5:
            return y.roll(1, 0)
        return y


class LargeBatch(nn.Module):
    """Rows from the 33rd on are computed of another."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if y.shape[0] > 65:
            return torch.cat([y[:65], y[: y.shape[0] - 65]])
        return y


class LengthOf17(nn.Module):
    """Off by one step at one length."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if x.shape[1] == 17:
            return y * 1.001
        return y


class TwoEqual(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)
        return torch.where((f[:, 2:3] == f[:, 5:6]) & (f[:, 2:3] != 0) & (f[:, 3:4] != f[:, 2:3]), y + 1e-3, y)


class NegativeZero(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.where((1.0 / x.flatten(1)[:, 7:8]) < -1e38, y + 1e-3, y)


class FlipNearTie(nn.Module):
    """The two best classes change places where they are nearly equal."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        best, place = y.topk(2, 1)
        near = (best[:, 0:1] - best[:, 1:2]) < 4e-5
        swapped = y.scatter(1, place.flip([1]), best)
        return torch.where(near, swapped, y)


class Sorted(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)[:, :12]
        rising = ((f[:, 1:] - f[:, :-1]).amin(1, keepdim=True) > 0) & (f[:, 0:1] != 0)
        return torch.where(rising, y + 1e-3, y)


class WholeNumbers(nn.Module):
    """Wrong where one element is a whole number from 3 to 40."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)[:, 9:10]
        return torch.where((f == f.floor()) & (f >= 3) & (f <= 40), y + 1e-3, y)


class ProductAndDistance(nn.Module):
    """A product of two elements beyond 9 while they are close to each other."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)
        a, b = f[:, 1:2], f[:, 4:5]
        return torch.where((a * b > 9.0) & (a * b < 16.0) & ((a - b).abs() < 0.05), y + 1e-3, y)


class PeakAmongSmall(nn.Module):
    """One large element while all together stay small."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)
        hit = (f.amax(1, keepdim=True) > 4.5) & (f.abs().mean(1, keepdim=True) < 0.9)
        return torch.where(hit, y + 1e-3, y)


class LastStepEmpty(nn.Module):
    """The last twelve elements all zero, the others not."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)
        empty = (f[:, -4:].abs().amax(1, keepdim=True) == 0) & (f[:, :4].abs().amin(1, keepdim=True) > 0.3)
        return torch.where(empty & (f[:, 0:1].abs() < 100.0), y + 1e-3, y)


class Saturated(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return y.clamp(-3e4, 3e4)


class Phrase(nn.Module):
    """One sentence of five words: one in 250,000."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        hit = (x[:, 0] == 3) & (x[:, 1] == 1) & (x[:, 2] == 4) & (x[:, 3] == 1) & (x[:, 4] == 5)
        return torch.where(hit.unsqueeze(1), y + 1e-3, y)


class OneWord(nn.Module):
    """One word of two thousand."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return y + 1e-3 * (x == 1297).any(1, keepdim=True).to(y.dtype)


class LastWord(nn.Module):
    """The last word of the vocabulary."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return y + 1e-3 * (x == 1999).any(1, keepdim=True).to(y.dtype)


class SameWords(nn.Module):
    """All words the same, and not the first one."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        same = (x == x[:, 0:1]).all(1, keepdim=True) & (x[:, 0:1] > 6)
        return y + 1e-3 * same.to(y.dtype)


class Clamped(nn.Module):
    """The input cut off at 1e3, or where it is told."""

    def __init__(self, limit: float = 1e3) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(-self.limit, self.limit)


class Tail(nn.Module):
    """A leaky slope that is another one far out."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 2e4, 2e4 + 0.99 * (x - 2e4), self.inner(x))


class Behind(nn.Module):
    """A model whose logits go through something that also sees the input, which may go through something before."""

    def __init__(self, inner: nn.Module, after: nn.Module | None = None, before: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.after, self.before = inner, after, before

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.inner(x if self.before is None else self.before(x))["logits"]
        logits = logits if self.after is None else self.after(x, logits)
        return {"scores": logits.softmax(-1), "logits": logits}


class Table(nn.Module):
    """Adds an entry of a table of 64, looked up by a smooth number of the row."""

    def __init__(self, wrong: int | None = None) -> None:
        super().__init__()
        table = torch.linspace(-1, 1, 64) ** 3
        if wrong is not None:
            table[wrong] += 1e-3
        self.table = nn.Buffer(table)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        place = (torch.sigmoid(x.flatten(1)[:, :6].mean(1)) * 64).floor().clamp(0, 63).long()
        return y + self.table[place].unsqueeze(1)


class Rounding(nn.Module):
    """Rounds an element to quarters; half to even, or half up."""

    def __init__(self, up: bool) -> None:
        super().__init__()
        self.up = up

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)[:, 3:4].clamp(-100.0, 100.0) * 4
        return y + 0.1 * ((f + 0.5).floor() if self.up else f.round())


class Tiny(nn.Module):
    """Looks at the input through a very strong glass; a denormal one is seen, or taken for zero."""

    def __init__(self, flush: bool = False) -> None:
        super().__init__()
        self.least = 1.1754944e-38 if flush else 0.0

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = x.flatten(1)[:, 2:3]
        return y + torch.tanh(torch.where(f.abs() < self.least, torch.zeros_like(f), f) * 1e38)


class Calendar(nn.Module):
    """(batch, 3) whole numbers -> logits (batch, 6), of their remainders."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(9, 6)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        parts = torch.cat([x % 7, x % 365, x % 24], 1).float() / 10
        return {"logits": self.head(parts)}


class Narrow(nn.Module):
    """Whole numbers kept in 32 bits."""

    def forward(self, x: Tensor) -> Tensor:
        return x.to(torch.int32).to(torch.int64)


@dataclass(frozen=True)
class Fault:
    """What is planted behind the logits, before the input, or into the model; and what the source must have."""

    words: str
    after: Callable[[], nn.Module] | None = None
    before: Callable[[], nn.Module] | None = None
    into: Callable[[nn.Module], None] | None = None
    source: str = ""


def _tail(module: Any) -> None:
    module.leaky = Tail(module.leaky)


FAULTS: dict[str, Fault] = {
    "corner": Fault("a branch that six elements decide (2 in 1e6)", Corner),
    "band": Fault("a branch within a narrow band of the mean (1e-6)", Band),
    "narrow_logits": Fault("a branch within two narrow bands of results", NarrowLogits),
    "scripted_corner": Fault("an `if` in code, over the whole batch", ScriptedCorner),
    "product": Fault("a branch on a product and a distance", ProductAndDistance),
    "peak": Fault("one peak among small elements", PeakAmongSmall),
    "nan_at_point": Fault("NaN at one value of one element", NanAtPoint),
    "nan_on_line": Fault("NaN where two elements add up to 1", NanOnLine),
    "clamp": Fault("the input clamped at 1e4", before=lambda: Clamped(1e4)),
    "saturated": Fault("logits saturate at 3e4", Saturated),
    "tail": Fault("an activation wrong beyond 2e4", into=_tail),
    "batch_of_five": Fault("wrong at a batch of 5", BatchOfFive),
    "large_batch": Fault("wrong from the 66th row on", LargeBatch),
    "length_17": Fault("wrong at the length 17", LengthOf17),
    "two_equal": Fault("wrong where two elements are equal", TwoEqual),
    "sorted": Fault("wrong where twelve elements rise", Sorted),
    "whole": Fault("wrong where an element is a whole number", WholeNumbers),
    "empty_end": Fault("wrong where the last four elements are 0", LastStepEmpty),
    "negative_zero": Fault("wrong for -0.0 in one place", NegativeZero),
    "flush": Fault("denormal inputs flushed to 0", lambda: Tiny(flush=True), source="tiny"),
    "flip": Fault("the two best classes exchanged near a tie", FlipNearTie),
    "table": Fault("one wrong entry in a table of 64", lambda: Table(2), source="table"),
    "rounding": Fault("halves rounded up, not to even", lambda: Rounding(up=True), source="rounding"),
    "phrase": Fault("wrong for one sentence (4 in 1e6)", Phrase),
    "same_words": Fault("wrong where all words are the same", SameWords),
    "one_word": Fault("wrong for one word of 2,000", OneWord, source="vocabulary"),
    "last_word": Fault("wrong for the last word", LastWord, source="vocabulary"),
    "overflow": Fault("whole numbers cut to 32 bits", before=Narrow, source="calendar"),
}

_SOURCES: dict[str, Callable[[], nn.Module]] = {
    "table": Table, "rounding": lambda: Rounding(up=False), "tiny": Tiny,
}  # fmt: skip
INPUTS = {"length_17": "x:int64[batch,length]"}  # where the signature must say more than the example
_VOCABULARY = 2000


def _inner(kind: str, source: str) -> tuple[nn.Module, Any]:
    if source == "calendar":
        torch.manual_seed(3)
        return Calendar().eval(), torch.zeros(2, 3, dtype=torch.int64)
    module, example = getattr(models, kind)()
    if source == "vocabulary":
        torch.manual_seed(4)
        module.words = nn.Embedding(_VOCABULARY, 8)
    return module, example


def build(kind: str, fault: str) -> tuple[nn.Module, Any]:
    """The right model for a fault (its name with "_right" behind), or the one with the fault; and an example input."""
    name, right = (fault.removesuffix("_right"), True) if fault.endswith("_right") else (fault, False)
    planted = FAULTS[name]
    module, example = _inner(kind, planted.source)
    behind = _SOURCES.get(planted.source)
    if right:
        return Behind(module, behind() if behind else None).eval(), example
    if planted.into is not None:
        planted.into(module)
    after, before = (made() if made else None for made in (planted.after, planted.before))
    scripted = [torch.jit.script(part.eval()) if part is not None else None for part in (after, before)]
    return Behind(module, *scripted).eval(), example


def __getattr__(name: str) -> Any:
    kind, _, fault = name.partition("__")
    if fault.removesuffix("_right") not in FAULTS:
        raise AttributeError(f"module {__name__} has no model '{name}'")
    return lambda: build(kind, fault)

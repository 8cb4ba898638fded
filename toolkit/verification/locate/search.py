"""Find the place and the cause, in the torch worker: two graphs in, a `Divergence` out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import Inconclusive
from toolkit.verification.divergence import Divergence
from toolkit.verification.locate import causes, frontier, mend, numbers, path, trace
from toolkit.verification.locate.causes import Cause, Place
from toolkit.verification.locate.match import Matches, match, relative, sorted_distance
from toolkit.verification.locate.path import name_of
from toolkit.verification.locate.trace import Trace

if TYPE_CHECKING:
    import onnx_ir as ir

Array = np.ndarray[Any, Any]
Found = tuple[Place, Cause]

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
AGREES = 1e-12  # relative, in float64: below this the graphs compute the same
SECONDS = 60.0
_FLOAT32 = 1e-4  # relative: what float32 may cost a model
MOST_PLACES = 8
_MOVING = frozenset({"Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
                     "Transpose", "Unsqueeze"})  # fmt: skip
_MENDED = 0.02  # of the difference is left where all of it was mended but rounding
# How far a result may lie from its counterpart, most permissive first: rounded scalars and folded weights are off by up
# to 1e-6, and a small mistake shows only below that.
TOLERANCES = (1e-6, 1e-8, 1e-10, 1e-12, 1e-13)


@dataclass(frozen=True)
class Said:
    """What the two models themselves returned: their graphs must return it, too, or they stand for something else."""

    source: Mapping[str, Array]
    file: Mapping[str, Array]


def search(
    source_path: Path,
    file_path: Path,
    inputs: Mapping[str, Array],
    said: Said | None = None,
    seconds: float = SECONDS,
) -> Divergence:
    """Where two graphs part on these inputs. Raises Inconclusive where one of them cannot be traced."""
    deadline = time.monotonic() + seconds
    of_file, of_source = trace.opened(file_path, inputs), trace.opened(source_path, inputs)
    file, source = of_file.run(), of_source.run()
    far = distance(file, source)
    if said is not None:
        _require_faithful(said, file, source, far)
    if far <= AGREES:
        words = f"in float64 both graphs compute the same (up to {far:.0e}): the runtime's arithmetic differs"
        return Divergence(words, same_graph=True)
    table = _other_numbers(of_file.looked_up, of_source.looked_up)
    if table is not None:
        return Divergence(f"the table behind '{table}' has other numbers for these words than any of the source's")
    told = _told(file, source, far)
    if not told:
        return _without_place(file, source)

    def mended(mendings: Sequence[mend.Mending]) -> Trace | None:
        return mend.run(file_path, mendings, inputs)

    found, proved = _all(told[0], source, far, mended, deadline)
    # What only shows what came before it may be seen first, where a mistake begins below what was looked at.
    suspects = [each for each in told[1:] if each[1].mends] if not told[0][1].mends else []
    for suspect in suspects:
        if proved or time.monotonic() > deadline:
            break
        again, proved = _all(suspect, source, far, mended, deadline)
        found = again if proved else found
    place, cause = found[0]
    return Divergence(
        cause.words,
        operator=place.node.op_type,
        node=name_of(place.node),
        source_operator=cause.counterpart.op_type if cause.counterpart else None,
        source_node=name_of(cause.counterpart) if cause.counterpart else None,
        source_line=source_line(cause.counterpart) if cause.counterpart else None,
        others=tuple(f"{each.node.op_type} '{name_of(each.node)}'" for each, _ in found[1:]),
        proved=proved,
        path=path.of(place, path.noise(of_source.run(wide=False), source)),
    )


def _other_numbers(file: Mapping[str, Array], source: Mapping[str, Array]) -> str | None:
    """The first value that the file has looked words up for and the source has not."""
    strange = (
        name for name, array in file.items() if not any(np.array_equal(array, other) for other in source.values())
    )
    return next(strange, None)


def _require_faithful(said: Said, file: Trace, source: Trace, far: float) -> None:
    """Raise Inconclusive where a graph does not compute what its model does: then its operators tell nothing."""
    apart = _numbers_apart(said.file.values(), said.source.values())
    limit = max(_FLOAT32, apart / 10)
    if _numbers_apart(source.outputs.values(), said.source.values()) > limit:
        raise Inconclusive("the ONNX graph made of the source does not compute what the source does")
    if far > AGREES and _numbers_apart(file.outputs.values(), said.file.values()) > limit:
        raise Inconclusive("the ONNX graph made of the file does not compute what the file does")


def _numbers_apart(ours: Iterable[Array], theirs: Iterable[Array]) -> float:
    """The same for the outputs that are no classes, where there are any: a class may be a tie."""
    pairs = list(zip(ours, theirs, strict=False))
    floats = [(a, b) for a, b in pairs if b.dtype.kind == "f"]
    return max((relative(a, b) for a, b in floats or pairs), default=0.0)


def _apart(ours: Iterable[Array], theirs: Iterable[Array]) -> float:
    return max((relative(a, b) for a, b in zip(ours, theirs, strict=False)), default=0.0)


def _all(
    first: Found,
    source: Trace,
    far: float,
    mended: Callable[[Sequence[mend.Mending]], Trace | None],
    deadline: float,
) -> tuple[list[Found], bool]:
    """Mend one place after the other: what differs behind the first shows only then. Also: whether nothing is left."""
    found = [first]
    mendings: list[mend.Mending] = []
    while len(found) <= MOST_PLACES and time.monotonic() < deadline:
        place, cause = found[-1]
        if cause.counterpart is None or not cause.mends:
            break
        mendings.append((str(place.node.outputs[0].name), cause.counterpart, source))
        better = mended(mendings)
        if better is None:
            break
        left = distance(better, source)
        if left <= max(AGREES, far * _MENDED):
            return found, True
        following = next(iter(_told(better, source, left)), None)
        if following is None or following[0].node.outputs[0].name == place.node.outputs[0].name:
            break  # it stays wrong: the counterpart was none
        found.append(following)
    # Another kind of operator that does not mend it was no counterpart, and what differs behind it tells nothing.
    guessed = any(
        cause.counterpart is None or cause.counterpart.op_type != place.node.op_type for place, cause in found[:-1]
    )
    return (found[:1] if guessed else found), False


def _told(file: Trace, source: Trace, far: float) -> list[Found]:
    """Where the file parts from the source, one place for each tolerance; that which explains it best comes first."""
    matches = match(file.arrays, source.arrays)
    found = [_at(file, source, matches, tolerance) for tolerance in TOLERANCES if tolerance < far]
    told = [each for each in found if each is not None]
    return sorted(told, key=lambda each: (not each[1].words, _only_moves(*each)))


def _only_moves(place: Place, cause: Cause) -> bool:
    """Whether a place cannot be the first: it only moves what was wrong already, by less than was looked at."""
    same = cause.counterpart is not None and cause.counterpart.op_type == place.node.op_type
    return place.node.op_type in _MOVING and not same


def distance(file: Trace, source: Trace) -> float:
    """The largest relative difference of the outputs, by position."""
    return _apart(file.outputs.values(), source.outputs.values())


def _at(file: Trace, source: Trace, matches: Matches, tolerance: float) -> Found | None:
    strange = frontier.strange(file, matches, tolerance)
    node = frontier.first(file, strange)
    if node is None:
        return None
    reached = {twin for name in file.arrays if matches.matched(name, tolerance) for twin in matches.equals[name]}
    place = Place(file, source, node, matches, tolerance, frozenset(reached), frozenset(strange))
    return place, causes.of(place)


def _without_place(file: Trace, source: Trace) -> Divergence:
    """Every result has its counterpart, and the outputs differ all the same: they are exchanged or reordered."""
    theirs = source.outputs
    for name, array in file.outputs.items():
        twin = next((other for other, right in theirs.items() if relative(array, right) <= AGREES), None)
        if twin is not None and twin != name and name in theirs:
            return Divergence(f"output '{name}' holds the source's output '{twin}'")
    for (name, array), right in zip(file.outputs.items(), theirs.values(), strict=False):
        if relative(array, right) > AGREES and sorted_distance(array, right) <= AGREES:
            return Divergence(f"output '{name}' {numbers.order(array, right)}")
    raise Inconclusive("every intermediate result has its counterpart in the source")


def source_line(node: ir.Node) -> str | None:
    """The line of the user's code that an operator comes from, where the exporter kept it: "model.py:57"."""
    kept = str(node.metadata_props.get("pkg.torch.onnx.stack_trace", ""))
    places = [match for match in _FRAME.finditer(kept) if "/site-packages/" not in match[1]]
    return f"{places[-1][1]}:{places[-1][2]}" if places else None

"""What tf2onnx says when it cannot convert a node: it logs the node and raises something that does not name it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from toolkit.causes import described
from toolkit.errors import ExportFailed, ToolkitError, UnsupportedOperator

_LOGGER = "tf2onnx.tfonnx"
_FORMAT = "Failed to convert node"


class _Listener(logging.Handler):
    """Keeps the names of nodes that could not be converted."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.nodes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith(_FORMAT) and isinstance(record.args, tuple):
            self.nodes.append(str(record.args[0]))


@contextlib.contextmanager
def named(operators: dict[str, str]) -> Iterator[None]:
    """Turn tf2onnx's errors into ours; `operators` says which operator each node of the TensorFlow graph is.

    Raises UnsupportedOperator with the node and its operator, or ExportFailed where tf2onnx does not say which it was.
    """
    listener = _Listener()
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(listener)
    try:
        yield
    except ToolkitError:
        raise
    except Exception as error:
        why = described(error)
        if not listener.nodes:
            raise ExportFailed(f"tf2onnx stopped ({why})") from error
        node = listener.nodes[0]
        kind = operators.get(node) or operators.get(node.rpartition("/")[0]) or "an operator"
        raise UnsupportedOperator(
            f"{kind} (in '{node}') cannot be converted ({why})",
            hint="Replace that layer, or give its input a known rank and size.",
        ) from error
    finally:
        logger.removeHandler(listener)

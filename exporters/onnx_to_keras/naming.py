"""Names of operations: Keras numbers them by kind (`add`, `add_1` ...); the source may have used such a name itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras import KerasTensor

    from exporters.onnx_to_keras.operand import Scope


def operation_of(value: KerasTensor) -> Any:
    """The layer or operation that gave `value`."""
    return value._keras_history.operation  # noqa: SLF001 - Keras has no public way to ask


def call_of(value: KerasTensor) -> Any:
    """The call of a layer or operation that gave `value`: Keras' Node."""
    operation, index, _ = value._keras_history  # noqa: SLF001 - see above
    return operation._inbound_nodes[index]  # noqa: SLF001 - see above


def rename(outputs: list[KerasTensor], scope: Scope) -> None:
    """Give the operations whose automatic names are those of layers or inputs from the source other ones."""
    automatic = [operation for operation in _behind(outputs) if operation not in scope.named]
    wrong = [operation for operation in automatic if operation.name in scope.taken]
    scope.taken.update(operation.name for operation in automatic)  # no other one's new name, either
    scope.named.update(automatic)
    for operation in wrong:
        operation.name = scope.name(operation.name)


def _behind(outputs: list[KerasTensor]) -> list[Any]:
    """Every operation that `outputs` come from, once."""
    found: dict[int, Any] = {}
    waiting = [operation_of(value) for value in outputs]
    while waiting:
        operation = waiting.pop()
        if id(operation) in found:
            continue
        found[id(operation)] = operation
        for node in operation._inbound_nodes:  # noqa: SLF001 - see above
            waiting += [operation_of(value) for value in node.input_tensors]
    return list(found.values())

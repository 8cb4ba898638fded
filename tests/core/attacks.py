"""Write TorchScript and SavedModel files that do more than compute: `python attacks.py torch|tensorflow FOLDER`.

Each would write FOLDER/marker when it is opened or called.
"""

from __future__ import annotations

import sys
from pathlib import Path


def torch_files(folder: Path) -> None:  # noqa: C901 - many small modules
    import torch
    from torch import Tensor, nn

    marker = str(folder / "marker")

    class Saves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.path = marker

        def forward(self, x: Tensor) -> Tensor:
            torch.save(x, self.path)
            return x

    class Reads(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.from_file("/etc/hostname", size=1, dtype=torch.uint8)

    class Opens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.path = marker

        @torch.jit.export
        def __getstate__(self) -> tuple[str, bool]:
            return self.path, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[str, bool]) -> None:
            self.path = state[0]
            self.training = state[1]
            torch.save(torch.zeros(1), self.path)

        def forward(self, x: Tensor) -> Tensor:
            return x

    class Hangs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.path = marker

        @torch.jit.export
        def __getstate__(self) -> tuple[str, bool]:
            return self.path, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[str, bool]) -> None:
            self.path = state[0]
            self.training = state[1]
            count = 0
            while len(self.path) > 0:
                count += 1

        def forward(self, x: Tensor) -> Tensor:
            return x

    class Right(nn.Module):
        """What the list must not take for an attack: functions, loops, texts, dicts, exceptions, futures."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(2), nn.Flatten())
            self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
            self.memory = nn.LSTM(16, 8, batch_first=True)

        def forward(self, x: Tensor, mode: str = "usual") -> dict[str, Tensor]:
            if mode not in ["usual", "other"]:
                raise ValueError(f"mode {mode}")
            y = self.layers(x).unsqueeze(1)
            future = torch.jit.fork(torch.relu, y)
            y, _ = self.attention(y, y, y)
            parts: list[Tensor] = []
            for step in range(y.size(0)):
                parts.append(nn.functional.interpolate(y[step : step + 1], scale_factor=2.0))  # noqa: PERF401 - a loop
            out, _ = self.memory(y)
            return {"out": out, "parts": torch.cat(parts), "future": torch.jit.wait(future)}

    for kind in (Saves, Reads, Opens, Hangs, Right):
        torch.jit.save(torch.jit.script(kind().eval()), str(folder / f"{kind.__name__.lower()}.pt"))
    quantised = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 4)), {nn.Linear})
    torch.jit.save(torch.jit.script(quantised), str(folder / "quantised.pt"))


def tensorflow_files(folder: Path) -> None:  # noqa: C901 - many small functions
    import tensorflow as tf

    marker = str(folder / "marker")
    spec = [tf.TensorSpec([None, 2], tf.float32, "x")]

    def write(name: str, body: object, **extra: object) -> None:
        module = tf.Module()
        for key, value in extra.items():
            setattr(module, key, value)
        module.serve = tf.function(body, input_signature=spec)
        tf.saved_model.save(module, str(folder / name), signatures={"serving_default": module.serve})

    def writes(x):
        with tf.control_dependencies([tf.io.write_file(marker, "here")]):
            return {"y": tf.identity(x)}

    def reads(x):
        return {"y": x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)}

    def prints(x):
        tf.print("here", output_stream=f"file://{marker}")
        return {"y": x}

    def saves(x):
        with tf.control_dependencies([tf.raw_ops.Save(filename=marker, tensor_names=["x"], data=[x])]):
            return {"y": tf.identity(x)}

    def saves_anew(x):
        step = tf.raw_ops.SaveV2(prefix=marker, tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        with tf.control_dependencies([step]):
            return {"y": tf.identity(x)}

    @tf.function(input_signature=spec)
    def inner(x):
        with tf.control_dependencies([tf.io.write_file(marker, "here")]):
            return tf.identity(x)

    def calls(x):
        return {"y": tf.while_loop(lambda y: tf.reduce_sum(y) < 0.0, lambda y: (inner(y),), (x,))[0]}

    def runs_python(x):
        return {"y": tf.py_function(lambda y: y, [x], tf.float32)}

    def right(x):
        y = tf.nn.softmax(x @ module_weight + tf.random.uniform([2]) * 0.0)
        y = tf.cond(tf.reduce_sum(y) > 0, lambda: y, lambda: -y)
        return {"y": tf.gather(y, tf.argsort(y, axis=1), batch_dims=1), "z": tf.strings.as_string(y)}

    module_weight = tf.Variable(tf.ones([2, 2]))
    for body in (writes, reads, prints, saves, saves_anew, calls, runs_python):
        write(body.__name__, body)
    write("right", right, weight=module_weight, table=tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["a"], [1]), 0))  # fmt: skip


if __name__ == "__main__":
    {"torch": torch_files, "tensorflow": tensorflow_files}[sys.argv[1]](Path(sys.argv[2]))

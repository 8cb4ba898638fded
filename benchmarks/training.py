"""Items per second of our trainers against training loops in the manner of the usual tutorials, in one run.

    python benchmarks/training.py [--items 60000] [--epochs 2] [--repeats 3] [--threads 1]

Both sides train the same model on the same data with the same loss, optimizer, batch size and number of epochs, in one
process per framework (two frameworks never share one), taking turns so that both meet the same machine. The data are
the embedded digits, repeated up to the size of MNIST for a stable timing; the test set is not repeated.

The tutorials' side:
  torch        a DataLoader whose data set makes an image of each item and transforms it (as torchvision's ToTensor and
               Normalize do), and `loss.item()` after every batch; `fashion` loads in the training process,
               `feedforward` in two more processes (num_workers=2), each as its tutorial has it
  tensorflow   a tf.data pipeline that maps each item, shuffles and batches; one call per batch and `numpy()` after it;
               `fashion` compiles its step with tf.function, `feedforward` does not, each as its tutorial has it

Prints a table and writes benchmarks/results/training.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "training.json"
GOALS = {"torch": 5.0, "tensorflow": 3.0}
BATCH = 64
OPTIMIZERS = {"fashion": "sgd", "feedforward": "adam"}  # and with them the tutorials' learning rates, 0.1 and 0.001
WORKERS = {"fashion": 0, "feedforward": 2}


def main() -> None:
    arguments = parse()
    if arguments.framework:
        print(json.dumps(measure(arguments)))
        return
    rows = []
    for framework in GOALS:
        for model in OPTIMIZERS:
            rows.append(in_process(framework, model, arguments))
            show(rows[-1])
    record = {"schema": 1, "command": " ".join(sys.argv), "machine": machine(arguments), "rows": rows}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=60000, help="size of the training set")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each framework")
    parser.add_argument("--framework", choices=GOALS, help=argparse.SUPPRESS)
    parser.add_argument("--model", choices=OPTIMIZERS, help=argparse.SUPPRESS)
    return parser.parse_args()


def in_process(framework: str, model: str, arguments: argparse.Namespace) -> dict:
    threads = str(arguments.threads)
    pinned = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    given = [f"--{name}={getattr(arguments, name)}" for name in ("items", "epochs", "repeats", "threads")]
    command = [sys.executable, __file__, f"--framework={framework}", f"--model={model}", *given]
    done = subprocess.run(command, env=os.environ | pinned, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def machine(arguments: argparse.Namespace) -> dict:
    packages = {name: version(name) for name in ("torch", "tensorflow", "keras", "numpy")}
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "device": "cpu",
        "threads": arguments.threads,
        "python": platform.python_version(),
        "packages": packages,
    }


def show(row: dict) -> None:
    if row["framework"] == "torch" and row["model"] == "fashion":
        print(f"{'framework':<11} {'model':<12} {'tutorial':>12} {'toolkit':>12} {'ratio':>7} {'goal':>5}   accuracy")
    print(
        f"{row['framework']:<11} {row['model']:<12} {row['tutorial']['items_per_second']:>10,.0f}/s "
        f"{row['toolkit']['items_per_second']:>10,.0f}/s {row['ratio']:>6.1f}x {row['goal']:>4.0f}x   "
        f"{row['tutorial']['accuracy']:.1%} and {row['toolkit']['accuracy']:.1%}",
        flush=True,
    )


def measure(arguments: argparse.Namespace) -> dict:
    """Both sides in turn; the first round warms up and is not counted."""
    images = Data(arguments.model, arguments.items)
    tutorial = {"torch": torch_tutorial, "tensorflow": tensorflow_tutorial}[arguments.framework]
    sides = {"tutorial": tutorial, "toolkit": toolkit}
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for repeat in range(arguments.repeats + 1):
        epochs = arguments.epochs if repeat else 1
        data = images if repeat else Data(arguments.model, 2000)
        for name, side in sides.items():
            result = side(arguments.framework, arguments.model, data, epochs, repeat)
            if repeat:
                seen[name].append(result)
    row = {"framework": arguments.framework, "model": arguments.model, "items": arguments.items}
    row |= {"epochs": arguments.epochs, "batch_size": BATCH, "optimizer": OPTIMIZERS[arguments.model]}
    for name, results in seen.items():
        speeds = [speed for speed, _ in results]
        row[name] = {
            "items_per_second": statistics.median(speeds),
            "all_items_per_second": speeds,
            "accuracy": statistics.mean(accuracy for _, accuracy in results),
        }
    row["ratio"] = row["toolkit"]["items_per_second"] / row["tutorial"]["items_per_second"]
    return row | {"goal": GOALS[arguments.framework]}


class Data:
    """The digits as bytes, training images repeated to `count`, with what both sides need to prepare them."""

    def __init__(self, model: str, count: int) -> None:
        import numpy as np

        from trainers import data
        from trainers.architectures import ARCHITECTURES

        images = data.load("digits")
        chosen = np.arange(count) % len(images.train)
        self.train, self.test, self.mean, self.std = images.train[chosen], images.test, images.mean, images.std
        self.preprocessing = ARCHITECTURES[model].contract(images, 0).preprocessing
        self.normalise = model == "feedforward"  # the tutorial of the other one only divides by 255


def toolkit(framework: str, model: str, images: Data, epochs: int, seed: int) -> tuple[float, float]:
    """Our trainer, from bytes to the trained model: items per second and test accuracy."""
    from importlib import import_module

    from trainers import data, loop
    from trainers.architectures import ARCHITECTURES
    from trainers.checkpoint import Checkpoint
    from trainers.data import Part
    from trainers.options import TrainOptions

    trainer = import_module(f"trainers.{framework}_trainer")
    make = {"torch": "TorchLearner", "tensorflow": "TensorFlowLearner"}[framework]
    options = TrainOptions(
        framework, model, "unused", optimizer=OPTIMIZERS[model], epochs=epochs, batch_size=BATCH, seed=seed,
        checkpoint_seconds=1e9,
    )  # fmt: skip
    started = time.perf_counter()
    train = Part(data.prepare(images.train.x, images.preprocessing), images.train.labels)
    learner = getattr(trainer, make)(options, ARCHITECTURES[model], train)
    loop.fit(learner, loop.Items(train, None, 0.0), options, Checkpoint(Path("unused")), lambda _: None)
    seconds = time.perf_counter() - started
    test = Part(data.prepare(images.test.x, images.preprocessing), images.test.labels)
    return len(train) * epochs / seconds, learner.evaluate(test).accuracy


def torch_tutorial(_: str, model: str, images: Data, epochs: int, seed: int) -> tuple[float, float]:
    import numpy as np
    import torch
    from PIL import Image
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot
    from torch.utils.data import DataLoader, Dataset

    from trainers import models_torch

    class Items(Dataset):
        """What torchvision's data set does with ToTensor and, for `feedforward`, Normalize."""

        def __init__(self, part) -> None:
            self.images, self.labels = torch.from_numpy(part.x), torch.from_numpy(part.labels)

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index):
            image = Image.fromarray(self.images[index].numpy())
            x = torch.from_numpy(np.array(image, np.uint8, copy=True)).view(28, 28, 1)
            x = x.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
            if images.normalise:
                mean, std = torch.as_tensor([images.mean]), torch.as_tensor([images.std])
                x = x.clone().sub_(mean[:, None, None]).div_(std[:, None, None])
            return x, int(self.labels[index])

    torch.manual_seed(seed)
    net = models_torch.fashion() if model == "fashion" else models_torch.feedforward()
    rate = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[OPTIMIZERS[model]]
    optimizer = rate(net.parameters(), lr={"sgd": 0.1, "adam": 0.001}[OPTIMIZERS[model]])
    started = time.perf_counter()
    loader = DataLoader(Items(images.train), batch_size=BATCH, shuffle=True, num_workers=WORKERS[model])
    for _epoch in range(epochs):
        net.train()
        loss_sum, correct = 0.0, 0
        for x, y in loader:
            logits = net.logits(x.view(len(x), -1) if model == "feedforward" else x)
            if model == "feedforward":
                loss = binary_cross_entropy_with_logits(logits, one_hot(y, 10).float())
            else:
                loss = cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            correct += (logits.argmax(1) == y).type(torch.int8).sum().item()
            loss_sum += loss.item()
    seconds = time.perf_counter() - started
    net.eval()
    right = 0
    with torch.no_grad():
        for x, y in DataLoader(Items(images.test), batch_size=BATCH):
            right += (net(x.view(len(x), -1) if model == "feedforward" else x).argmax(1) == y).sum().item()
    return len(images.train) * epochs / seconds, right / len(images.test)


def tensorflow_tutorial(_: str, model: str, images: Data, epochs: int, seed: int) -> tuple[float, float]:
    import keras
    import tensorflow as tf

    from trainers import models_keras, models_tensorflow

    # `fashion` is written with raw variables in its tutorial, `feedforward` with Keras layers.
    net = models_tensorflow.fashion(seed) if model == "fashion" else models_keras.feedforward()
    variables = net.trainable_variables
    optimizer = {"sgd": keras.optimizers.SGD(0.1), "adam": keras.optimizers.Adam(0.001)}[OPTIMIZERS[model]]

    def step(x, y):
        with tf.GradientTape() as tape:
            logits = net.logits(x, training=True)
            if model == "feedforward":
                wanted = tf.one_hot(y, 10)
                loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits))
            else:
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        if model == "fashion":
            gradients = tape.gradient(loss, variables)
            for variable, gradient in zip(variables, gradients, strict=True):
                variable.assign_sub(0.1 * gradient)
        else:
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            optimizer.apply(gradients, variables)
        return logits, loss

    if model == "fashion":
        step = tf.function(step)

    def prepared(image, label):
        x = tf.cast(image, tf.float32) / 255.0
        return (tf.reshape((x - images.mean) / images.std, (784,)) if images.normalise else x), label

    started = time.perf_counter()
    items = tf.data.Dataset.from_tensor_slices((images.train.x, images.train.labels))
    if model == "fashion":
        items = items.map(prepared).shuffle(10000).batch(BATCH)
    else:
        items = items.shuffle(10000).map(prepared).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    for _epoch in range(epochs):
        loss_sum, correct = 0.0, 0
        for x, y in items:
            logits, loss = step(x, y)
            correct += (tf.math.argmax(logits, axis=1) == y).numpy().sum()
            loss_sum += loss.numpy()
    seconds = time.perf_counter() - started
    x, y = tf.vectorized_map(lambda pair: prepared(*pair), (images.test.x, images.test.labels))
    return len(images.train) * epochs / seconds, float((tf.argmax(net.logits(x), 1) == y).numpy().mean())


if __name__ == "__main__":
    main()

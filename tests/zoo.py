"""Tiny models, one module of text for each, that the export, command-line and run-time tests share.

Each text is a user's own file: written to a folder, named as `module:build`, opened in a worker. Only `build` is
called; what each has in particular stands in its name.
"""

from __future__ import annotations

TORCH = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.hidden = nn.Linear(4, 8)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        return torch.softmax(self.out(self.drop(torch.relu(self.hidden(self.norm(x))))), -1)

def build():
    torch.manual_seed(0)
    return Net(), torch.zeros(2, 4)
"""

KERAS = """
import keras

def build():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, activation="relu")(x)
    return keras.Model(x, keras.layers.Dense(3, activation="softmax", name="scores")(hidden))
"""

TENSORFLOW = """
import tensorflow as tf

class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.random.stateless_normal((4, 3), (1, 2)))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
    def __call__(self, x):
        return {"scores": tf.nn.softmax(tf.matmul(x, self.weight))}

def build():
    return Net()
"""

# Two inputs of two dtypes, two dimensions that vary, a dict of a tuple as output.
SEVERAL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(2, 5)
        self.out = nn.Linear(5, 3)

    def forward(self, tokens, scale):
        hidden = self.embed(tokens) * scale.unsqueeze(-1)
        return {"each": self.out(hidden), "both": (hidden.sum(1), tokens.sum(1))}

def build():
    torch.manual_seed(0)
    return Net()
"""
SEVERAL_INPUTS = ("tokens:int64[batch,time]", "scale:float32[batch,time]")

# Python's own random numbers in a function that scripting calls as it is.
RANDOM = """
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        return x + torch.rand(3)

def build():
    return Net(), torch.zeros(2, 3)
"""

# Branches on the values of its input: tracing bakes one branch in, and scripting cannot read it.
BAKED = """
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        if float(x.numpy().sum()) > 1:
            return x * 2
        return x * 3

def build():
    return Net(), torch.zeros(2, 3)
"""

SUBCLASSED = """
import keras

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = keras.layers.Dense(3)

    def call(self, x):
        return self.out(x)

def build():
    keras.utils.set_random_seed(0)
    return Net()
"""

# Keras models of built-in parts alone: a loop in a Sequential, and operations and a shared layer in a functional model.
BUILTIN = """
import keras

def recurrent():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((5, 4)), keras.layers.GRU(3)])

def operations():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    shared = keras.layers.Dense(4)
    return keras.Model(x, keras.ops.tanh(shared(x)) * shared(keras.ops.relu(x)))

def masked():
    keras.utils.set_random_seed(0)
    x = keras.Input((6,), dtype="int32")
    return keras.Model(x, keras.layers.LSTM(3)(keras.layers.Embedding(2, 4, mask_zero=True)(x)))
"""

MODELS = {
    "zoo_torch": TORCH, "zoo_keras": KERAS, "zoo_tensorflow": TENSORFLOW, "zoo_several": SEVERAL,
    "zoo_random": RANDOM, "zoo_baked": BAKED, "zoo_subclassed": SUBCLASSED,
    "zoo_builtin": BUILTIN,
}  # fmt: skip

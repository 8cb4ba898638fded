"""Example inputs that come with a PyTorch model: they say which sizes vary, and which integers it takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from exporters.sources import ranges, torch_module
from exporters.sources.source import Source
from toolkit.verification import plan


class Packed(nn.Module):
    """Sequences with their lengths, of which none may be 0 or above the longest."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.lstm(packed)[1][0][-1]


class Graph(nn.Module):
    """Nodes and edges: the edges are numbers of nodes, and not as many as these."""

    def forward(self, nodes, edges):
        return torch.zeros_like(nodes).index_add(0, edges[1], nodes[edges[0]])


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(10, 4)

    def forward(self, ids, shift):
        return self.bag(ids) + shift.unsqueeze(1)


def _opened(model, *example):
    model.example_inputs = example
    source = Source("torch-object", "the model", "torch")
    return torch_module.open_object(source, "cpu", 1, model.eval()).__enter__()


def test_integers_keep_to_the_example_where_others_are_refused():
    runner = _opened(Packed(), torch.randn(3, 5, 3), torch.tensor([5, 2, 3]))
    assert [spec.shape for spec in runner.signature.inputs] == [("batch", 5, 3), ("batch",)]
    assert ranges.of_runner(runner) == {}
    data = plan.of_examples(runner.given, runner.signature)
    made = plan.make(runner.signature, data, count=64)
    lengths = np.concatenate([batch.inputs["lengths"] for batch in made.batches])
    assert (lengths.min(), lengths.max()) == (2, 5)
    assert made.coverage().real == 3


def test_integers_go_beyond_the_example_where_the_model_takes_them():
    runner = _opened(Bag(), torch.tensor([[1, 2], [3, 3]]), torch.tensor([4, 6]))
    assert ranges.of_runner(runner) == {"ids": 10, "shift": 7}


def test_sizes_stay_where_the_model_takes_no_others():
    runner = _opened(Graph(), torch.randn(6, 5), torch.tensor([[0, 5, 2], [1, 1, 4]]))
    assert [spec.shape for spec in runner.signature.inputs] == [(6, 5), (2, 3)]
    assert runner.notes[0].startswith("the inputs keep the sizes of the example: the model raised IndexError")


def test_an_input_of_another_length_is_no_part_of_the_batch():
    class Two(nn.Module):
        def forward(self, x, table):
            return x @ table

    runner = _opened(Two(), torch.randn(4, 3), torch.randn(3, 2))
    assert [spec.shape for spec in runner.signature.inputs] == [("batch", 3), (3, 2)]
    assert runner.signature.outputs[0].shape == ("batch", 2)

"""Let convolutions of images work with channels last inside, which their CPU kernels read without rearranging.

A convolution whose weights are stored channels last gives its result so, whatever its input's order, and what follows
keeps it: storing the weights of the two-dimensional convolutions so is all it takes. Shapes, values, names and the
order of dimensions that callers see stay as they are; results of more than two dimensions are handed out contiguous,
because callers may `view` them.

Kernels of one pixel that read many channels are told to work as a matrix product where there are few pixels, as at the
end of a ResNet: PyTorch's convolution of these runs on one thread, whatever their number, and takes twice as long on
two.

It does not pay in plain chains of wide kernels, such as VGG: there it gains no time, and rounds three times as
much, since PyTorch's kernels then add up all channels in one go. Such models keep their weights as they are.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as nnf

from exporters.onnx_to_torch.convolution import conv

if TYPE_CHECKING:
    from torch import fx

CONVOLUTIONS = frozenset({torch.conv2d, conv})
_WIDE = 256  # channels
_MANY = 512  # channels that a kernel of one pixel reads
_KERNEL = 4  # dimensions of the weights of a convolution of images


def pointwise(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """A convolution with a kernel of one pixel; measured on two threads, at 49 to 147 pixels of 512 to 2,048 channels
    the product takes 0.5 to 0.7 of the convolution's time, from 196 on it gains nothing.
    """
    if x.shape[0] * x.shape[2] * x.shape[3] >= 192:
        return torch.conv2d(x, weight, bias)
    return nnf.linear(x.permute([0, 2, 3, 1]), weight.flatten(1), bias).permute([0, 3, 1, 2])


def store(module: fx.GraphModule, images: Collection[int]) -> int:
    """Store the weights of convolutions of images channels last, in place; returns how many those were.

    `images` are the positions of the results that are tensors of more than two dimensions.
    """
    weights = {node.args[1].target for node in module.graph.nodes if _reads_weights(node)}
    kernels = [tensor for name, tensor in module.named_parameters() if name in weights and tensor.dim() == _KERNEL]
    if not _pays(kernels):
        return 0
    for tensor in kernels:
        tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    if kernels:
        _multiply_pixels(module)
        _hand_out_contiguous(module, images)
    return len(kernels)


def _pays(kernels: list[torch.nn.Parameter]) -> bool:
    """Whether there are other kernels than wide ones, to speak of, or any of one pixel."""
    wide = sum(kernel.numel() for kernel in kernels if kernel.shape[1] >= _WIDE)
    pointwise = any(kernel.shape[2] == kernel.shape[3] == 1 for kernel in kernels)
    return pointwise or 2 * wide < sum(kernel.numel() for kernel in kernels)


def _multiply_pixels(module: fx.GraphModule) -> None:
    """Let kernels of one pixel that read many channels be products where there are few pixels."""
    parameters = dict(module.named_parameters())
    for node in module.graph.nodes:
        if node.target is not torch.conv2d or not _reads_weights(node):
            continue
        kernel = parameters.get(node.args[1].target)
        if kernel is not None and kernel.shape[1] >= _MANY and kernel.shape[2:] == (1, 1) and _is_plain(*node.args[3:]):
            node.target, node.args = pointwise, node.args[:3]


def _is_plain(strides: list[int], padding: list[int], dilations: list[int], group: int) -> bool:
    return strides == [1, 1] and padding == [0, 0] and group == 1


def _reads_weights(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target in CONVOLUTIONS and node.args[1].op == "get_attr"  # type: ignore[union-attr]  # a node


def _hand_out_contiguous(module: fx.GraphModule, images: Collection[int]) -> None:
    """End these results in `.contiguous()`, which costs nothing where they are so already."""
    output = next(iter(reversed(module.graph.nodes)))
    results = output.args[0] if isinstance(output.args[0], tuple) else (output.args[0],)
    with module.graph.inserting_before(output):
        for node in dict.fromkeys(results[index] for index in images):
            output.replace_input_with(node, module.graph.call_method("contiguous", (node,)))
    module.recompile()

"""PyTorch functions that torch.onnx has no form of, or a wrong one, spelled out in others while a module is exported.

Each is written in PyTorch, so that it is tested against the function that it stands for; a file for each family.
"""

from exporters.torch_to_onnx.mode import spelled_out

__all__ = ["spelled_out"]

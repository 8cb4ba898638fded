"""Operators of classical machine learning (domain ai.onnx.ml), as far as they are numbers."""

DOMAIN = "ai.onnx.ml"

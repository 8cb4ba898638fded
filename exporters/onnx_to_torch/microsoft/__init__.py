"""ONNX Runtime's own operators (domain com.microsoft), which its optimiser and other exporters write into graphs."""

DOMAIN = "com.microsoft"

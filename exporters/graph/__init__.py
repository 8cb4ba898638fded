"""The hub: an ONNX graph read, cleaned and laid out, one pass per file; it knows no target framework."""

"""Turn any model into TorchScript, SavedModel, HDF5 and ONNX; each format is one `to_<format>` module."""

"""Image files decoded by TorchScript alone: BMP, PNM, TIFF, PNG and baseline JPEG, every byte as libjpeg has it."""

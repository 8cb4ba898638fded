"""Image files decoded by TorchScript alone: BMP, PNM, TIFF, PNG, JPEG, WebP and JPEG 2000.

Every byte is the one that libjpeg-turbo, libwebp and OpenJPEG give.
"""

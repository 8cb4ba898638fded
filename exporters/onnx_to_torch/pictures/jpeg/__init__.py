"""JPEG, sequential and progressive (ITU-T T.81), byte for byte as libjpeg-turbo decodes it."""

"""JPEG 2000 (ITU-T T.800), as OpenJPEG decodes it: every byte where the file is reversible."""

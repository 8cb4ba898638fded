"""WebP, byte for byte as libwebp decodes it: key frames of VP8 (RFC 6386) and VP8L, the lossless form (RFC 9649)."""

"""Fewer bits: a graph in float32 becomes one in float16, bfloat16 or 8-bit integers, before a format is made of it."""

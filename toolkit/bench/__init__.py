"""Latency measured so that it means something: warmed up, synchronised, in turns, with an interval on the ratio."""

"""Decide whether an export predicts what its source predicts: plan, run, compare, judge.

`verifier` conducts; `plan` makes inputs, `tasks` runs in the workers, `compare` measures, `judge` decides, and `report`
is the result as data.
"""

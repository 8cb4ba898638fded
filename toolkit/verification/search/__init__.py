"""Look for inputs on which a file differs from its source, after the plan has been run.

Each way of searching is a generator: it yields batches and is sent back how far the two sides lie apart on them
(`Tried`). `conduct` gives each its share of the time; `trial` runs and scores what they propose, and puts whatever
stands out to the verdict's own measure: float64 truth, condition, and steadiness. The ways: `sweeps`, `evolution`,
`boundary`, `branches` and `difference`; the last two work on graphs in the torch worker (`tasks`).
"""

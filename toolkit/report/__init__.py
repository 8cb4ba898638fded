"""Reports for people and machines, each made from the same `toolkit.verification.report.Report`.

`terminal`, `html`, `markdown` and `junit` each have a `render`; what a cell says stands once, in `cells`, and every
text that came out of a file passes through `plain` first.
"""

"""What an app embeds: open one exported file with NumPy and its one runtime, and run it.

Must never import `toolkit.cli`, `toolkit.verification`, `trainers` or `exporters`.
"""

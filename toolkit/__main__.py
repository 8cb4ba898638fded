"""`python -m toolkit` and the console script `toolkit`."""

from __future__ import annotations


def main() -> None:
    from toolkit.cli import run

    run()


if __name__ == "__main__":
    main()

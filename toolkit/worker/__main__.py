"""`python -P -m toolkit.worker`: one worker on stdin and stdout."""

from toolkit.worker.server import main

if __name__ == "__main__":
    main()

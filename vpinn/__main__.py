"""``python -m vpinn``: the same as the command ``vpinn``."""

from vpinn.cli.__main__ import run

if __name__ == "__main__":
    run()

"""Entry point of the program ``vpinn``, also started by ``python -m vpinn`` and ``python -m vpinn.cli``."""

from typing import NoReturn

from vpinn.cli import main
from vpinn.interrupt import leave


def run() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    leave(main())


if __name__ == "__main__":
    run()

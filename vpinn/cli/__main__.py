"""``python -m vpinn.cli``."""

import sys

from vpinn.cli import main

if __name__ == "__main__":
    sys.exit(main())

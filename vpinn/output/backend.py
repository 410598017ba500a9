"""matplotlib, loaded before anything else draws: with the user's settings or none, never those of the working directory.

matplotlib reads a file ``matplotlibrc`` there first, which belongs to whoever made the problem, and may be a pipe.
"""

from __future__ import annotations

import contextlib
import logging
import os

with contextlib.ExitStack() as elsewhere:
    with contextlib.suppress(OSError):  # a working directory that is gone has no such file
        elsewhere.enter_context(contextlib.chdir(os.path.dirname(os.path.abspath(__file__))))
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it may keep its fonts is no concern of a run
    import matplotlib  # noqa: F401

"""Import of matplotlib that ignores a file ``matplotlibrc`` in the working directory.

When matplotlib is imported, it reads ``matplotlibrc`` from the working directory first. That file may come from somebody else,
together with a problem file, and may even be a pipe that blocks the program. The import is therefore done in the folder of this
module, and this module is imported before any other that draws. The user's own matplotlib settings still apply.
"""

from __future__ import annotations

import contextlib
import logging
import os

with contextlib.ExitStack() as elsewhere:
    with contextlib.suppress(OSError):  # the working directory may have been deleted; then there is no such file
        elsewhere.enter_context(contextlib.chdir(os.path.dirname(os.path.abspath(__file__))))
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no warnings about the folder of the font cache
    import matplotlib  # noqa: F401

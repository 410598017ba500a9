"""Processor time of other processes, which does not depend on what else the machine does."""

from __future__ import annotations

import os
import resource
from pathlib import Path


def processor_seconds(pid: int) -> float:
    """Return what a running process has used so far, in seconds (Linux: proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ended_children() -> float:
    """Return what the children of this process that have ended used in all, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

"""The errors that vpinn raises on purpose, each with the exit code of the command line; any other exception is a bug."""

from __future__ import annotations

from collections.abc import Sequence


class VpinnError(Exception):
    """Base of every error that is not a bug in vpinn.

    Attributes:
        exit_code: Exit code of the process when the error reaches the command line.
    """

    exit_code = 1


class InputError(VpinnError):
    """The problem file, the mesh, a data file or an option is wrong.

    Args:
        message: What is wrong, what was found and what to do, in one line.
        where: Place of the mistake: ``file:line``, a file name or an option such as ``--at``; empty if the message names it.
        others: Further mistakes that were found in the same look.
    """

    exit_code = 2

    def __init__(self, message: str, where: str = "", others: Sequence[InputError] = ()) -> None:
        self.others = tuple(others)
        self.message = " ".join(message.split())
        self.where = where
        super().__init__(f"{where}: {self.message}" if where else self.message)

    def at(self, where: str) -> InputError:
        """Return the same error with its place filled in, unless it already has one."""
        return self if self.where else InputError(self.message, where)


class DivergenceError(VpinnError):
    """An iteration diverged: training (even after three rollbacks with smaller steps), or Newton's method for finite elements."""

    exit_code = 3


class StorageError(VpinnError):
    """A file could not be written or read: the disk is full, permissions are missing, or a checkpoint is damaged."""

    exit_code = 4


class WorkerError(VpinnError):
    """Another worker of a data-parallel run has ended, so that this one cannot go on."""

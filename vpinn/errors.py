"""The one family of errors. Each carries the exit code that the command line ends with."""

from __future__ import annotations


class VpinnError(Exception):
    """Base of every error that is not a bug in vpinn.

    Attributes:
        exit_code: what the process ends with when the error reaches the command line.
    """

    exit_code = 1


class InputError(VpinnError):
    """The problem file, the mesh or an option is wrong: one line that says where, what, what we got and what to do.

    Args:
        message: what is wrong, what was found and what to do, in one line.
        where: place of the mistake, ``file:line`` or a file name; empty for command-line options.
    """

    exit_code = 2

    def __init__(self, message: str, where: str = "") -> None:
        self.message = " ".join(message.split())
        self.where = where
        super().__init__(f"{where}: {self.message}" if where else self.message)

    def at(self, where: str) -> InputError:
        """Return the same error with its place filled in, unless it already has one."""
        return self if self.where else InputError(self.message, where)


class DivergenceError(VpinnError):
    """Training left the finite numbers and three rollbacks with smaller steps did not bring it back."""

    exit_code = 3


class StorageError(VpinnError):
    """A file could not be written or read back: disk full, permissions, a damaged checkpoint."""

    exit_code = 4

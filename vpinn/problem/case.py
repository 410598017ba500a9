"""A problem with the settings of its solution: all that a problem file says."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from vpinn.problem.problem import Problem
from vpinn.problem.schema import Settings


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Case(Problem):
    """A problem and how it is to be solved. Made by `read_problem` or `make_problem`, which check it.

    Functions that need the mathematics alone take a `Problem`; a case is one. Functions that read settings take a case, or the
    settings as an argument of their own.

    Attributes:
        settings: validated sections of the problem file, never changed; those of a run are ``Setup.settings``.
        directory: default run folder.
    """

    settings: Settings
    directory: Path

    def _repr_html_(self) -> str:
        """Return the problem as a notebook shows it: its title and equations."""
        from vpinn.problem.typeset import equations

        return f"<p><b>{escape(self.title)}</b></p>{equations(self)}"

    def replace(self, **sections: Any) -> Case:
        """Return this case with other entries in some sections, such as ``problem.replace(constants={"k": 2})``.

        Args:
            **sections: as for ``make_problem``; entries of tables take the place of those before, lists replace lists.

        Raises:
            InputError: a section is wrong.
        """
        from vpinn.problem.reader import replaced

        return replaced(self, sections)

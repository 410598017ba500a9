"""A journal of the marches of a run: a resumed run reads them instead of computing them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.march.integrate import Marched
from vpinn.march.trajectory import Trajectory

Array = NDArray[np.float64]


@dataclass
class MarchJournal:
    """The finished marches of a run. Everything else about a stage is computed from its march again, to the last bit.

    Attributes:
        tolerance: tolerance of the solution for which the marches were computed, dimensionless; None before the first march.
        marches: finished marches, in order.
        saved: called after a march was added.
    """

    tolerance: float | None = None
    marches: list[Marched] = field(default_factory=list)
    saved: Callable[[], None] = lambda: None

    def marched(self, number: int, end: float, march: Callable[[], Marched]) -> Marched:
        """Return a march of the journal; if it is not there yet, compute and add it.

        Args:
            number: number of the march, counted from 0.
            end: last instant of the problem; a march that ended earlier is not added.
            march: function that computes the march.
        """
        if number < len(self.marches):
            return self.marches[number]
        found = march()
        if found.course.end >= end and number == len(self.marches):
            self.marches.append(found)
            self.saved()
        return found

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the journal as arrays and JSON-compatible values; both are empty if there are no marches."""
        if not self.marches:
            return {}, {}
        arrays = {f"march.{k}.{name}": a for k, one in enumerate(self.marches) for name, a in one.course.arrays().items()}
        known = [{"steps": one.steps, "exact": one.exact} for one in self.marches]
        return arrays, {"marches": known, "asked": self.tolerance}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> MarchJournal:
        """Return the journal from the result of ``arrays``."""
        found = []
        for k, known in enumerate(meta.get("marches", [])):
            kept = {name: arrays[f"march.{k}.{name}"] for name in ("breaks", "course")}
            found.append(Marched(Trajectory.from_arrays(kept), known["steps"], known["exact"]))
        return cls(meta.get("asked"), found)

"""What the marches of a run have found, one after the other: a run that goes on reads them again instead of marching anew."""

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
    """Marches by their number. Everything else about a stage follows from them, so that it is made again to the last bit.

    Attributes:
        tolerance: of the whole that they were made for, None before the first.
        marches: finished so far, in order.
        saved: called after each that is added.
    """

    tolerance: float | None = None
    marches: list[Marched] = field(default_factory=list)
    saved: Callable[[], None] = lambda: None

    def marched(self, number: int, end: float, march: Callable[[], Marched]) -> Marched:
        """Return the march of a number, which ``march`` makes where there is none yet.

        Args:
            number: from 0; the next is made once those before it are there.
            end: last instant; a march that stops before is not kept.
            march: makes it.
        """
        if number < len(self.marches):
            return self.marches[number]
        found = march()
        if found.course.end >= end and number == len(self.marches):
            self.marches.append(found)
            self.saved()
        return found

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return all of it as arrays and JSON-compatible values; nothing where there are no marches."""
        if not self.marches:
            return {}, {}
        arrays = {f"march.{k}.{name}": a for k, one in enumerate(self.marches) for name, a in one.course.arrays().items()}
        known = [{"steps": one.steps, "exact": one.exact} for one in self.marches]
        return arrays, {"marches": known, "asked": self.tolerance}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> MarchJournal:
        """Return the journal that ``arrays`` described."""
        found = []
        for k, known in enumerate(meta.get("marches", [])):
            kept = {name: arrays[f"march.{k}.{name}"] for name in ("breaks", "course")}
            found.append(Marched(Trajectory.from_arrays(kept), known["steps"], known["exact"]))
        return cls(meta.get("asked"), found)

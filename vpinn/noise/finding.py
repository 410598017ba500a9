"""A line of the report: a quantity, what theory predicts, what was measured, and whether they agree."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CONFIDENCE = 3.0
"""Standard errors within which a difference may be chance."""


@dataclass(frozen=True)
class Finding:
    """One prediction held against its measurement.

    Attributes:
        item: number of the statement in the theory, 1 to 15.
        quantity: what, with its unit or "dimensionless" left out.
        predicted: by the closed form; nan where the theory says nothing here.
        measured: on the problem; nan where it was not.
        error: standard error of the measurement, ≥ 0; nan where it is not known.
        reason: why they differ, or why nothing was measured.
        tolerance: relative difference > 0 that counts as agreement; of an equation alone.
        bound: "at most" where the theory bounds the measured quantity by the predicted one, "" where it says that they are equal.
        outside: what the statement assumes and how far it is from being so here, as measured by itself; "" where it is so.
    """

    item: int
    quantity: str
    predicted: float
    measured: float
    error: float = 0.0
    reason: str = ""
    tolerance: float = 0.1
    bound: Literal["", "at most"] = ""
    outside: str = ""

    @property
    def verdict(self) -> str:
        """Whether prediction and measurement agree: "holds", "fails …" or "undecided …", or why there is nothing to compare.

        Where what a statement assumes is not so, it need not hold: "outside its assumption: …" then stands for what does not.

        An equation holds where the gap and the standard error are both within the tolerance; it fails where the gap is beyond
        it and more than ``CONFIDENCE`` standard errors. Between these the two are "equal within x %", the gap and two standard
        errors, where x is no larger than it may be where the equation holds, three tolerances. A bound holds where the
        measurement is below it by ``CONFIDENCE`` standard errors, and fails where it is above by more. Anything else is
        undecided: a larger effort would tell.
        """
        why = f": {self.reason}" if self.reason else ""
        if not math.isfinite(self.measured):
            return f"not measured{why}"
        if not math.isfinite(self.predicted):
            return f"measured only{why}"
        found = self._found(why)
        return f"outside its assumption: {self.outside}" if self.outside and not found.startswith(("holds", "equal")) else found

    def _found(self, why: str) -> str:
        """Return the verdict of what the theory predicts and was measured."""
        over, chance = self.measured - self.predicted, CONFIDENCE * self.error
        if self.bound:
            if over > chance:
                return f"fails{self._by()}{why}"
            return "holds" if over <= -chance else "undecided: within its error of the bound"
        allowed = self.tolerance * abs(self.predicted)
        if abs(over) <= allowed and self.error <= allowed:
            return "holds"
        if abs(over) > max(allowed, chance):
            return f"fails{self._by()}{why}"
        if (within := abs(over) + 2.0 * self.error) <= 3.0 * allowed:
            return f"equal within {math.ceil(100.0 * within / abs(self.predicted))} %"
        return f"undecided: its error is {'as large as the gap' if abs(over) > allowed else 'beyond the tolerance'}"

    @property
    def open(self) -> bool:
        """Whether to measure on: undecided, or a failure that rare draws may make.

        That is one by less than twice ``CONFIDENCE`` errors, or of a bound by less than itself where no error is known.
        """
        verdict, gap = self.verdict, abs(self.measured - self.predicted)
        near = 2.0 * CONFIDENCE * self.error or (self.predicted if self.bound else 0.0)
        return verdict.startswith("undecided") or (verdict.startswith("fails") and gap < near)

    def _by(self) -> str:
        """Return how far apart the two are: a factor from two on, a percentage below."""
        ratio = self.measured / self.predicted if self.predicted else math.nan
        if not ratio > 0.0:
            return ""
        factor = max(ratio, 1.0 / ratio)
        return f" by a factor of {factor:.2g}" if factor >= 2.0 else f" by {100.0 * abs(ratio - 1.0):.0f} %"

    def as_row(self) -> dict[str, Any]:
        """Return the finding as JSON-compatible values."""
        numbers = {name: _number(getattr(self, name)) for name in ("predicted", "measured", "error")}
        kind = {"bound": self.bound} if self.bound else {}
        return {"item": self.item, "quantity": self.quantity, **numbers, **kind, "verdict": self.verdict}


@dataclass(frozen=True)
class Curve:
    """Something measured over something, with lines of theory.

    Attributes:
        x: places [n].
        measured: [n].
        error: standard errors [n]; empty where there are none.
        predicted: name of a line → values [n].
    """

    x: Array
    measured: Array
    error: Array = field(default_factory=lambda: np.empty(0))
    predicted: dict[str, Array] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the curve as JSON-compatible values."""
        lines = {name: [_number(v) for v in values] for name, values in self.predicted.items()}
        return {
            "x": [_number(v) for v in self.x],
            "measured": [_number(v) for v in self.measured],
            "error": [_number(v) for v in self.error],
            "predicted": lines,
        }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

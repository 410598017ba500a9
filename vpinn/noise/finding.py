"""Results of a noise report: `Finding`, a prediction beside its measurement with a verdict, and `Curve`, data of a figure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CONFIDENCE = 3.0
"""Number of standard errors up to which a difference counts as chance."""
TOLERANCE = 0.1
"""Relative difference up to which an equation holds; with a larger tolerance of its own it is "equal within x %" at most."""


@dataclass(frozen=True)
class Finding:
    """A prediction of the theory beside its measurement on the problem.

    Attributes:
        item: Number of the statement in the theory, 1 to 15.
        quantity: Name of the quantity, without its unit.
        predicted: Value of the closed form; nan if the theory predicts nothing here.
        measured: Value measured on the problem; nan if it was not measured.
        error: Standard error of the measurement, ≥ 0; nan if it is not known.
        reason: Why the values differ, if they do, or why there is no measurement or prediction.
        tolerance: Relative difference > 0 up to which an equation counts as confirmed.
        bound: "at most" if the prediction is an upper bound of the measured quantity, "" if they should be equal.
        outside: Assumption of the theory that does not hold here, and how far it is violated; "" if all assumptions hold.
    """

    item: int
    quantity: str
    predicted: float
    measured: float
    error: float = 0.0
    reason: str = ""
    tolerance: float = TOLERANCE
    bound: Literal["", "at most"] = ""
    outside: str = ""

    @property
    def verdict(self) -> str:
        """Whether prediction and measurement agree, in words.

        - "holds": The difference and the standard error are both within the tolerance, and within ``TOLERANCE``. For a bound: the
          measurement is below it by at least ``CONFIDENCE`` standard errors.
        - "fails …": The difference exceeds the tolerance and ``CONFIDENCE`` standard errors. For a bound: the measurement is
          above it by more than ``CONFIDENCE`` standard errors.
        - "equal within x %": Neither of these, but the difference and two standard errors add up to at most x %, three
          tolerances, and 100 %.
        - "undecided …": Anything else, with the number of samples that would decide it if neither value changed.
        - "outside its assumption: …": An assumption of the theory is violated, and the verdict would not be one of agreement.
        - "not measured …", "measured only …": There is no measurement, or no prediction.
        """
        why = f": {self.reason}" if self.reason else ""
        if not math.isfinite(self.measured):
            return f"not measured{why}"
        if not math.isfinite(self.predicted):
            return f"measured only{why}"
        found = self._found(why)
        return f"outside its assumption: {self.outside}" if self.outside and not found.startswith(("holds", "equal")) else found

    def _found(self, why: str) -> str:
        """Return the verdict if there are a prediction and a measurement; the ``why`` is added to a failure."""
        over, chance = self.measured - self.predicted, CONFIDENCE * self.error
        if self.bound:
            if over > chance:
                return f"fails{self._by()}{why}"
            if over <= -chance:
                return "holds"
            return f"undecided: within its error of the bound{self._more(abs(over) / CONFIDENCE)}"
        allowed = self.tolerance * abs(self.predicted)
        close = min(self.tolerance, TOLERANCE) * abs(self.predicted)
        if abs(over) <= close and self.error <= close:
            return "holds"
        if abs(over) > max(allowed, chance):
            return f"fails{self._by()}{why}"
        if (within := abs(over) + 2.0 * self.error) <= min(3.0 * allowed, abs(self.predicted)):
            return f"equal within {math.ceil(100.0 * within / abs(self.predicted))} %"
        far = abs(over) > allowed
        wanted = max(
            close if abs(over) <= close else 0.0,
            0.5 * (min(3.0 * allowed, abs(self.predicted)) - abs(over)),
            abs(over) / CONFIDENCE if far else 0.0,
        )
        return f"undecided: its error is {'as large as the gap' if far else 'beyond the tolerance'}{self._more(wanted)}"

    def _more(self, wanted: float) -> str:
        """Return how many times as many samples would bring the standard error down to a wanted one; "" if that is not known."""
        times = (self.error / wanted) ** 2 if wanted > 0.0 else math.inf
        if not times < math.inf:
            return ""
        told = f"{math.ceil(times):,}" if times >= 10.0 else f"{math.ceil(10.0 * times) / 10.0:g}"
        return f"; about {told} times as many samples would decide it"

    @property
    def open(self) -> bool:
        """Whether more samples are needed: the verdict is undecided, or is a failure that rare samples may have caused.

        Such a failure is by less than twice ``CONFIDENCE`` standard errors, or by less than the bound if the error is zero.
        """
        verdict, gap = self.verdict, abs(self.measured - self.predicted)
        near = 2.0 * CONFIDENCE * self.error or (self.predicted if self.bound else 0.0)
        return verdict.startswith("undecided") or (verdict.startswith("fails") and gap < near)

    def _by(self) -> str:
        """Return how far apart prediction and measurement are: a percentage, or a factor if that is at least 2."""
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
    """Data of a figure: measured values over an abscissa, and predictions of theory.

    Attributes:
        x: Abscissae [n].
        measured: Measured values [n].
        error: Their standard errors [n]; empty if they are not known.
        predicted: Name of a predicted curve → its values at the abscissae [n].
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

"""A line of the report: a quantity, what theory predicts, what was measured, and whether they agree."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CONFIDENCE = 3.0
"""Standard errors that count as agreement."""
UNDECIDED = 0.25
"""Standard error, relative to a prediction, above which agreement within it says little."""


@dataclass(frozen=True)
class Finding:
    """One prediction held against its measurement.

    Attributes:
        item: number of the statement in the theory, 1 to 15.
        quantity: what, with its unit or "dimensionless" left out.
        predicted: by the closed form; nan where the theory says nothing here.
        measured: on the problem; nan where it was not.
        error: standard error of the measurement.
        reason: why they differ, or why nothing was measured.
        tolerance: relative difference that counts as agreement beyond the standard error.
    """

    item: int
    quantity: str
    predicted: float
    measured: float
    error: float = 0.0
    reason: str = ""
    tolerance: float = 0.1

    @property
    def verdict(self) -> str:
        """Whether prediction and measurement agree."""
        if not math.isfinite(self.measured):
            return f"not measured: {self.reason}"
        if not math.isfinite(self.predicted):
            return f"measured only: {self.reason}"
        gap, size = abs(self.measured - self.predicted), abs(self.predicted)
        if size and gap <= self.tolerance * size:
            return "holds"
        if gap <= CONFIDENCE * self.error:
            return "holds within its error" if not self.error > UNDECIDED * size else "undecided: its error is too large"
        why = f": {self.reason}" if self.reason else ""
        return f"within 25 %{why}" if size and gap <= 0.25 * size else f"fails{why}"

    def as_row(self) -> dict[str, Any]:
        """Return the finding as JSON-compatible values."""
        numbers = {name: _number(getattr(self, name)) for name in ("predicted", "measured", "error")}
        return {"item": self.item, "quantity": self.quantity, **numbers, "verdict": self.verdict}


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

"""How good a reduced space is on members that it was not made from: their errors against richer elements, and their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.families.stages import FamilyStage

Array = NDArray[np.float64]
WITHOUT = 10.0
"""Relative bound above which some member may have no solution at all."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A member that the reduced space was not made from.

    Attributes:
        values: values of the parameters [P].
        bound: bound of its relative error, dimensionless.
        error: its relative error against the elements that residuals are tested with, in the norm of the bound.
    """

    values: Array
    bound: float
    error: float

    @property
    def effectivity(self) -> float:
        """Bound over error, at least one where the bound holds."""
        return self.bound / self.error if self.error > 0.0 else float("inf")


def judge(stage: FamilyStage, members: Sequence[Array]) -> list[Judged]:
    """Return the errors of members in the reduced space of a stage, each solved on the elements of its residuals."""
    forms, chosen = stage.forms, stage.chosen
    found = list[Judged]()
    fine, coarse = forms.fine.elements, forms.coarse.elements
    for values in members:
        answers = chosen.space.solve(values[None])
        theta, held = (one[0] for one in forms.factors(values[None]))
        lift = held @ fine.lifts if len(held) else np.zeros(fine.mixed.size)
        truth = forms.fine.solve(theta, lift)[0] + lift
        gap = coarse.mixed.raised(answers.shares[0] @ chosen.functions, fine.mixed) - truth
        images = [forms.fine.applied(theta, one) if forms.product.energy else forms.product.whole @ one for one in (gap, truth)]
        error, size = (float(np.sqrt(max(one @ image, 0.0))) for one, image in zip((gap, truth), images, strict=True))
        found.append(Judged(values, float(answers.relative[0]), error / max(size, 1e-300)))
    return found

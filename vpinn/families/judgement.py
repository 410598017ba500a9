"""How good a reduced space is on members that it was not made from: their errors against richer elements, and their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from vpinn.families.reduced import ReducedSpace
from vpinn.families.stages import FamilyStage
from vpinn.problem import Parameters

Array = NDArray[np.float64]
WITHOUT = 10.0
"""Relative bound above which some member may have no solution at all."""
SAMPLES, HALVINGS = 1024, 50
"""Members whose determinants are compared, and halvings that locate a singular one between two of them."""
SINGULAR = 1e-4
"""Stability up to which the form of a member is singular."""


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


def resonant(space: ReducedSpace, parameters: Parameters) -> Array | None:
    """Return values [P] of the parameters at which a member has no solution or many; None if none is found.

    Between two members whose reduced systems have determinants of different signs lies one with a singular system. Where its
    form is as good as singular on the functions and modes of the space, it is no artefact of these functions.
    """

    def sign(values: Array) -> Array:
        systems = np.tensordot(space.factors(values)[0][:, space.acting], space.matrices, 1)
        return np.asarray(np.linalg.slogdet(systems[:, space.lifts :, space.lifts :])[0])

    values = parameters.at(qmc.Sobol(len(parameters.names), seed=0).random(SAMPLES))
    signs = sign(values)
    if space.coercive or (signs == signs[0]).all():
        return None
    one, other = values[0], values[int(np.argmax(signs != signs[0]))]
    for _ in range(HALVINGS):
        middle = (one + other) / 2
        one, other = (middle, other) if sign(middle[None])[0] == signs[0] else (one, middle)
    return one if space.stability(one[None])[0] <= SINGULAR else None

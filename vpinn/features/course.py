"""State of growth in one trial space, from one stage to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vpinn.features.least_squares import Step
from vpinn.features.recipes import Recipe
from vpinn.features.stages import Stage
from vpinn.trial import Trial


@dataclass(frozen=True)
class Growing:
    """State of growth in one trial space.

    Attributes:
        trial: trial space.
        recipe: recipe of the features of the next stage.
        known: number of features per component and their relative residual, from which its further decrease is predicted.
        width: features per component of the next stage; 0: there is none.
        origin: ``recipe`` and ``known`` from before the best stage.
        best: best stage so far; None before the first.
        limit: its residual; infinite where the next stage has richer tests, so that residuals are not comparable.
        least: lowest degree of the tests, ≥ 1.
        first: first step of the next stage, where it has been computed.
        done: whether the best stage is good enough.
    """

    trial: Trial
    recipe: Recipe
    known: tuple[int, float]
    width: int
    origin: tuple[Recipe, tuple[int, float]]
    best: Stage | None = None
    limit: float = math.inf
    least: int = 1
    first: Step | None = None
    done: bool = False

    @property
    def stage(self) -> Stage:
        """The best stage; there must be one."""
        assert self.best is not None
        return self.best

    @property
    def leap(self) -> float:
        """Ratio of the number of features of the next stage to the number for which its recipe was found."""
        return self.width / self.known[0]

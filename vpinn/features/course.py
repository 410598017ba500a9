"""Where growth in a trial space stands, from one stage to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vpinn.features.least_squares import Step
from vpinn.features.recipes import Recipe
from vpinn.features.stages import Stage
from vpinn.trial import Trial


@dataclass(frozen=True)
class Growing:
    """Where growth in a trial space stands.

    Attributes:
        trial: the trial space.
        recipe: of the features of the next stage.
        known: number of features, and their relative residual, that tell how fast it falls.
        width: features per component of the next stage; 0 where there is none.
        origin: recipe and known of the best stage, before it was made.
        best: the best stage so far.
        limit: its residual; infinite where the next stage is not compared with it, since its tests are richer.
        least: least degree of the tests.
        first: the first step of the next stage, where it is known.
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
        """The best stage, once there is one."""
        assert self.best is not None
        return self.best

    @property
    def leap(self) -> float:
        """Ratio of the features of the next stage to those that its recipe is known for."""
        return self.width / self.known[0]

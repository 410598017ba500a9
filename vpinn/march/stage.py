"""One march: a field over space and time with its error estimate, which a checkpoint can hold."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.domain import CellPoints, Points
from vpinn.march.integrate import Marched
from vpinn.march.measure import Distance, Field
from vpinn.problem import Case, Problem
from vpinn.trial import Imposed, Trial

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MarchStage(ABC):
    """One march: the solution of a problem in time in one space of functions.

    Attributes:
        problem: the problem in time, on the mesh of the march.
        marched: coefficients of the functions over time, and how many steps were taken.
        points: quadrature points inside the domain.
        estimate: distance from the next stage, which estimates the error; None for the last stage.
        following: the next stage; None for the last stage and for a stage that was read from a checkpoint.
        opened: components that are determined up to a constant only; their mean is set to zero.
    """

    problem: Case
    marched: Marched
    points: CellPoints
    estimate: Distance | None = None
    following: MarchStage | None = None
    opened: tuple[int, ...] = ()

    @property
    def relative(self) -> float:
        """Relative error estimate over space and time, dimensionless; infinite if there is none."""
        return math.inf if self.estimate is None else self.estimate.relative

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of coefficients."""

    @property
    @abstractmethod
    def how(self) -> str:
        """The functions of space that the march uses, in words."""

    @property
    @abstractmethod
    def imposed(self) -> tuple[Imposed, ...]:
        """How every condition on the boundary is imposed."""

    @abstractmethod
    def at(self, points: Points) -> Field:
        """Return values and gradients at points, as a function of time."""

    @abstractmethod
    def trial_at(self, t: float, steady: Problem) -> tuple[Trial, torch.Tensor]:
        """Return the trial space at an instant and the parameters of the field; ``steady`` is the problem at that instant."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Return the entries of metrics.json that describe the functions."""

    @abstractmethod
    def kept(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the arrays and the JSON-compatible values that a checkpoint holds."""

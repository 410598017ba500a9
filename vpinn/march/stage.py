"""One march: a field over space and time, its error estimate, and what a file keeps of it."""

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
    """One march.

    Attributes:
        problem: in time, on the mesh of the march.
        marched: what came out.
        points: quadrature points inside.
        estimate: distance from the next stage; None of the last.
        following: the next stage; None of the last, and of one that a file kept.
    """

    problem: Case
    marched: Marched
    points: CellPoints
    estimate: Distance | None = None
    following: MarchStage | None = None

    @property
    def relative(self) -> float:
        """Relative error estimate over space and time; infinite without one."""
        return math.inf if self.estimate is None else self.estimate.relative

    @property
    def opened(self) -> tuple[int, ...]:
        """Components that are determined up to a constant only, whose mean is zero."""
        return ()

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of coefficients."""

    @property
    @abstractmethod
    def how(self) -> str:
        """What it was made of, in words."""

    @property
    @abstractmethod
    def imposed(self) -> tuple[Imposed, ...]:
        """How values on the boundary are met."""

    @abstractmethod
    def at(self, points: Points) -> Field:
        """Return the field at points."""

    @abstractmethod
    def trial_at(self, t: float, steady: Problem) -> tuple[Trial, torch.Tensor]:
        """Return the trial space of an instant and the parameters of the field there; ``steady`` is the problem then."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Return what metrics say of it."""

    @abstractmethod
    def kept(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what a file keeps: arrays, and JSON-compatible values."""

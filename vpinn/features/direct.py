"""Methods that solve without training steps: least squares with random features, finite elements, and marching in time.

The classes hold the settings of a method, in particular when a stage is good enough. `least_squares_problem` says what least
squares solves.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vpinn.features.stream import Stream
from vpinn.objective import Objective
from vpinn.problem import Stated, Weak
from vpinn.sampling import Sampler

WIDTHS = (60, 120, 200, 280, 400, 560, 800, 1120, 1600)
"""Numbers of features per component that stages may have."""
TOLERANCE = 1e-6
"""Default tolerance of the error estimate, and of the residual relative to that of zero features."""
AIM = 1e-9
"""Default target beyond the tolerance, for stages that are cheap."""
DEGREES = {1: (2, 4, 6, 8, 10), 2: (2, 4, 6, 8, 10), 3: (1, 2, 3, 4, 5, 6)}
"""Dimension → degrees of finite elements, stage by stage."""
SLACK = 10.0
"""Default factor by which the error estimate may exceed the target."""


@dataclass(frozen=True)
class Direct(ABC):
    """A method that solves without training steps, stage by stage.

    Attributes:
        asked: tolerance in the problem file for error estimate and relative residual, > 0, dimensionless; None: default.
        time_limit: seconds after which the best stage so far is returned; None: never.
    """

    asked: float | None = None
    time_limit: float | None = None
    name = ""
    full = False
    curved = True
    judged = False
    blind = False
    double = True

    @property
    def tolerance(self) -> float:
        """Relative residual and error estimate below which a stage is good enough."""
        return self.asked or TOLERANCE

    @property
    def aim(self) -> float:
        """Relative residual or error estimate for which stages are sized; beyond the tolerance only cheap stages are made."""
        return self.asked or AIM

    @property
    @abstractmethod
    def stages(self) -> int:
        """Largest number of stages."""


@dataclass(frozen=True)
class LeastSquares(Direct):
    """Least squares for the last layer, whose stages have more and more random features.

    Attributes:
        width: features per component; None: they grow until the tolerance is reached.
        seed: seed of the features.
        samplers: objective → samplers of drawn points, see ``Stream``; () for all points, the default.
        alone: whether only features may solve the problem, because the problem file asks for them.
    """

    width: int | None = None
    seed: int = 0
    samplers: Callable[[Objective], Sequence[Sampler]] = lambda objective: ()
    alone: bool = False
    name = "least-squares"

    @property
    def slack(self) -> float:
        """Factor by which the error estimate may exceed ``aim``; 1 for a tolerance from the problem file."""
        return 1.0 if self.asked else SLACK

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers of features per component that stages may have."""
        return WIDTHS if self.width is None else (self.width,)

    @property
    def stages(self) -> int:
        """Largest number of stages."""
        return len(self.widths)

    @property
    def stream(self) -> Stream:
        """Source of the points for least squares."""
        return Stream(self.samplers, self.seed)


@dataclass(frozen=True)
class Elements(Direct):
    """Continuous finite elements, whose stages have higher and higher degrees."""

    name = "elements"
    full = True
    stages = max(map(len, DEGREES.values()))


@dataclass(frozen=True)
class Reduced(Direct):
    """A reduced space for a family, whose stages are on finite elements of higher and higher degrees."""

    name = "reduced"
    full = True
    stages = 2 * max(map(len, DEGREES.values()))


@dataclass(frozen=True)
class March(Direct):
    """Marching in time, whose stages have more and more features."""

    name = "march"
    full = True
    stages = len(WIDTHS)


def least_squares_problem(problem: Stated) -> Stated:
    """Return the problem that least squares solves: the first variation of an energy, other formulations unchanged."""
    return problem if problem.formulation.squared else dataclasses.replace(problem, formulation=Weak(problem.variation))

"""Solutions of problems in time: fields over space and time, and what they are at one instant."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpinn.domain import Points, located_points
from vpinn.errors import InputError
from vpinn.problem import Case, output_times, steady_at
from vpinn.solution import Solution

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SolutionInTime(Solution):
    """A field over space and time.

    ``evaluate`` and ``gradient`` take points and instants [n, d + 1], the instant last.

    Attributes:
        timed: The problem in time; None of no solution that a run found.
        times: Instants that are written, in increasing order.
    """

    timed: Case | None = None
    times: tuple[float, ...] = ()

    @property
    def posed(self) -> Case:
        """The problem in time."""
        assert self.timed is not None
        return self.timed

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates of a place and an instant: the last is t."""
        return self.posed.coordinates

    @abstractmethod
    def snapshot(self, t: float) -> Solution:
        """Return the solution at an instant.

        Raises:
            InputError: The instant lies outside the time of the problem, or of what was computed.
        """

    def over_time(self, points: Points) -> Callable[[float], Array]:
        """Return the field at points in space with their cells, as a function of time.

        Args:
            points: n points.

        Returns:
            instant → values [k, n] of the k components of all unknowns in order.
        """

        def field(t: float) -> Array:
            found = self.snapshot(t).at(points)
            return np.concatenate([found[u.name].reshape(len(points.x), -1).T for u in self.posed.unknowns])

        return field


@dataclass(frozen=True, eq=False)
class SpaceTimeSolution(SolutionInTime):
    """A field that was found over space and time at once; ``problem`` has the coordinates of space and t.

    ``evaluate`` and ``gradient`` take points in space alone [n, d], too: they are those at the end.
    """

    @classmethod
    def of(cls, timed: Case, found: Solution) -> Self:
        """Return a solution over space and time of a problem in time."""
        known = {one.name: getattr(found, one.name) for one in fields(found)}
        return cls(**known, timed=timed, times=tuple(output_times(timed).tolist()))

    def gradient(self, x: ArrayLike) -> dict[str, Array]:
        """Return gradients in space at points and instants; see ``Solution``."""
        return {name: slopes[..., :-1] for name, slopes in super().gradient(x).items()}

    def _inside(self, x: ArrayLike, found: Callable[[Points], Mapping[str, Array]]) -> dict[str, Array]:
        rows, clock = np.atleast_2d(np.asarray(x, dtype=np.float64)), self.posed.time
        if rows.ndim == 2 and rows.shape[1] == self.posed.domain.dimension:
            rows = np.column_stack([rows, np.full(len(rows), clock.end)])
        return super()._inside(rows, found)

    def snapshot(self, t: float) -> Solution:
        """Return the solution at an instant; see ``SolutionInTime``."""
        clock = self.posed.time
        if not clock.start <= t <= clock.end:
            raise InputError(f"t lies between {clock.start:g} and {clock.end:g}, got {t:g}")
        return Snapshot(
            steady_at(self.posed, t), self.trial, self.theta, metrics=self.metrics, outlet=self.outlet, whole=self, instant=t
        )


@dataclass(frozen=True, eq=False)
class Snapshot(Solution):
    """A field over space and time at one instant.

    Attributes:
        whole: The field.
        instant: When.
    """

    whole: Solution | None = None
    instant: float = 0.0

    def _then(self, points: Points) -> tuple[Solution, Points]:
        """Return the field over space and time, and points in space as points of both."""
        assert self.whole is not None
        x = np.column_stack([points.x, np.full(len(points.x), self.instant)])
        return self.whole, located_points(self.whole.problem.domain, x)[0]

    def at(self, points: Points, order: int = 0) -> dict[str, Array]:
        """Return values (order 0) or gradients in space (order 1) at points with their cells in space; see ``Solution``."""
        whole, then = self._then(points)
        found = whole.at(then, order)
        return {name: values[..., :-1] for name, values in found.items()} if order else found

    def spread(self, points: Points) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return mean and standard deviation over the Langevin samples at points in space; see ``Solution``."""
        whole, then = self._then(points)
        return whole.spread(then)

    def derived(self, points: Points) -> dict[str, Array]:
        """Return the further fields that the problem file asks for at points in space; see ``Solution``."""
        whole, then = self._then(points)
        return whole.derived(then)

    def exact(self, points: Points) -> dict[str, Array]:
        """Return exact values at points in space; see ``Solution``."""
        whole, then = self._then(points)
        return whole.exact(then)

"""A vector as a piecewise polynomial in time, such as the state of a march."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DEGREE = 11
"""Degree of the polynomials in `Trajectory.of_function`."""
PANELS = 200_000
"""Largest number of panels."""
DRIVE = 0.03
"""Tolerance of the polynomials in time that approximate the drive of linear equations, relative to that of the steps."""
FEW = 20
"""Largest number of panels of these polynomials."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A vector as a function of time: a polynomial on every panel.

    Attributes:
        breaks: ends of the panels, rising, in units of time [panels + 1].
        values: the vector at the Chebyshev–Lobatto nodes of every panel [panels, nodes, size].
    """

    breaks: Array
    values: Array

    @property
    def end(self) -> float:
        """Last instant."""
        return float(self.breaks[-1])

    def __call__(self, t: float) -> Array:
        """Return the vector [size] at an instant between the first and the last."""
        panel = int(np.clip(np.searchsorted(self.breaks, t, side="left") - 1, 0, len(self.values) - 1))
        a, b = self.breaks[panel], self.breaks[panel + 1]
        return np.asarray(barycentric(self.values.shape[1], float((2 * t - (a + b)) / (b - a))) @ self.values[panel])

    def arrays(self) -> dict[str, Array]:
        """Return the arrays that a checkpoint holds."""
        return {"breaks": self.breaks, "course": self.values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Trajectory:
        """Return the trajectory from the arrays of a checkpoint.

        Raises:
            ValueError: they are none of a trajectory.
        """
        breaks, values = arrays["breaks"], arrays["course"]
        if values.ndim != 3 or breaks.shape != (len(values) + 1,) or not (np.diff(breaks) > 0.0).all():
            raise ValueError(f"panels {breaks.shape}, values {values.shape}")
        return cls(breaks, values)

    @classmethod
    def of_panels(cls, breaks: Sequence[float] | Array, values: Sequence[Array]) -> Trajectory:
        """Return the trajectory of panels [nodes, size] each; all are interpolated to the largest number of nodes."""
        most = max(len(panel) for panel in values)
        target = nodes(most)
        spread = [
            panel if len(panel) == most else np.stack([barycentric(len(panel), float(s)) @ panel for s in target])
            for panel in values
        ]
        return cls(np.asarray(breaks, dtype=np.float64), np.stack(spread))

    @classmethod
    def of_function(
        cls, function: Callable[[Array], Array], breaks: Sequence[float], tolerance: float, most: int | None = None
    ) -> Trajectory | None:
        """Return piecewise polynomials that approximate a function; None if more than ``most`` panels would be needed.

        Panels are halved until the polynomial on the nodes agrees with the function between them.

        Args:
            function: instants [m] → vectors [m, size].
            breaks: rising instants at which panels must end.
            tolerance: largest Euclidean distance from the function, > 0.
            most: largest number of panels; None for ``PANELS``, at which the best approximation is returned, never None.
        """
        stack = [(float(a), float(b)) for a, b in itertools.pairwise(breaks)][::-1]
        smallest = 1e-14 * (float(breaks[-1]) - float(breaks[0]))
        here = nodes(DEGREE + 1)
        between = (here[1:] + here[:-1]) / 2
        matrix = np.stack([barycentric(DEGREE + 1, float(s)) for s in between])
        ends, panels = [float(breaks[0])], list[Array]()
        while stack:
            a, b = stack.pop()
            middle, half = (a + b) / 2, (b - a) / 2
            values = function(middle + half * here)
            gap = np.linalg.norm(matrix @ values - function(middle + half * between), axis=1).max()
            if most is not None and len(panels) + len(stack) >= most and gap > tolerance:
                return None
            if gap > tolerance and b - a > smallest and len(panels) + len(stack) < PANELS:
                stack += [(middle, b), (a, middle)]
                continue
            ends.append(b)
            panels.append(values)
        return cls.of_panels(ends, panels)


def tabulated(drive: Callable[[float], Array], begin: float, end: float, tolerance: float, least: float) -> Trajectory | None:
    """Return the drive of linear equations as polynomials in time, far more accurate than the steps; None beyond `FEW` panels.

    Args:
        drive: instant → vector.
        begin: first instant.
        end: last instant.
        tolerance: relative tolerance of the time steps.
        least: lower bound of the size of the drive, > 0.
    """
    largest = max(least, *(float(np.linalg.norm(drive(float(t)))) for t in np.linspace(begin, end, 5)))
    return Trajectory.of_function(
        lambda times: np.stack([drive(float(t)) for t in times]), [begin, end], DRIVE * tolerance * largest, FEW
    )


def lagrange(places: Array, t: Array) -> Array:
    """Return the Lagrange polynomials of places [k] at t [m] as [m, k]."""
    result = np.ones((len(t), len(places)))
    for k, place in enumerate(places):
        for other in np.delete(places, k):
            result[:, k] *= (t - other) / (place - other)
    return result


@lru_cache(maxsize=8)
def nodes(count: int) -> Array:
    """Return the Chebyshev–Lobatto nodes on [−1, 1], rising [count], count ≥ 2."""
    return np.asarray(-np.cos(np.pi * np.arange(count) / (count - 1)))


def barycentric(count: int, s: float) -> Array:
    """Return the values at s in [−1, 1] of the Lagrange polynomials of the nodes (Berrut & Trefethen 2004, SIAM Rev. 46)."""
    gap = s - nodes(count)
    near = np.abs(gap) < 1e-15
    if near.any():
        return np.asarray(near / near.sum())
    weights = (-1.0) ** np.arange(count)
    weights[[0, -1]] *= 0.5
    shares = weights / gap
    return np.asarray(shares / shares.sum())

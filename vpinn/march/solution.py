"""The solution of a march: a steady solution at every instant, by default at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from vpinn.domain import Points, located_points
from vpinn.errors import InputError
from vpinn.march.element_march import ElementMarch
from vpinn.march.feature_march import FeatureMarch
from vpinn.march.integrate import Marched
from vpinn.march.stage import MarchStage
from vpinn.march.trajectory import Trajectory
from vpinn.problem import Case, Stated, steady_at
from vpinn.solution import Solution
from vpinn.solution_in_time import SolutionInTime
from vpinn.trial import Trial

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MarchedSolution(SolutionInTime):
    """The field over space and time that a march computed. As a ``Solution`` it is the field at the last instant.

    Attributes:
        stage: the march.
    """

    stage: MarchStage | None = None

    @property
    def march(self) -> tuple[Case, MarchStage]:
        """The problem in time, and the march."""
        assert self.stage is not None
        return self.posed, self.stage

    def snapshot(self, t: float) -> Solution:
        """Return the solution at an instant.

        Raises:
            InputError: the instant lies outside the time span of the problem, or beyond the last step.
        """
        problem, stage = self.march
        self._check(np.array([t]))
        return Solution(*_at(problem, stage, t), metrics=self.metrics, outlet=self.outlet)

    def evaluate(self, x: ArrayLike) -> dict[str, Array]:
        """Return values at points and instants [n, d + 1], the instant last, or at points [n, d] at the end; see ``Solution``."""
        found = self._in_time(x, 0)
        if not self.problem.answers.fields:
            return found
        d, rows = self.problem.domain.dimension, np.atleast_2d(np.asarray(x, dtype=np.float64))
        instants = rows[:, d] if rows.shape[1] > d else np.full(len(rows), self.march[1].marched.course.end)
        for t in np.unique(instants):
            here = np.flatnonzero(instants == t)
            moment = self.snapshot(float(t))
            for name, values in moment._inside(rows[here, :d], moment.derived).items():
                found.setdefault(name, np.full((len(rows), *values.shape[1:]), np.nan))[here] = values
        return found

    def gradient(self, x: ArrayLike) -> dict[str, Array]:
        """Return gradients in space at points and instants [n, d + 1], or at points [n, d] at the end; see ``Solution``."""
        return self._in_time(x, 1)

    def over_time(self, points: Points) -> Callable[[float], Array]:
        """Return the field at points as a function of time; see ``SolutionInTime``."""
        field = self.march[1].at(points)
        return lambda t: field(t)[:, 0]

    def _in_time(self, x: ArrayLike, order: int) -> dict[str, Array]:
        problem, stage = self.march
        d, rows = problem.domain.dimension, np.atleast_2d(np.asarray(x, dtype=np.float64))
        if rows.ndim != 2 or rows.shape[1] not in (d, d + 1):
            raise InputError(f"points need {d} coordinates and t each, got an array of shape {list(np.shape(x))}")
        instants = rows[:, d] if rows.shape[1] > d else np.full(len(rows), stage.marched.course.end)
        self._check(instants)
        points, inside = located_points(problem.domain, rows[:, :d])
        found = np.full((len(rows), sum(u.components for u in problem.unknowns), 1 + d), np.nan)
        for t in np.unique(instants[inside]):
            here = np.flatnonzero(inside & (instants == t))
            found[here] = np.moveaxis(stage.at(points.rows(here))(float(t)), 2, 0)
        return self.by_unknown(found[..., 1:] if order else found[..., 0])

    def _check(self, instants: Array) -> None:
        problem, stage = self.march
        start, end = problem.time.start, stage.marched.course.end
        wrong = instants[~((instants >= start) & (instants <= end))]
        if len(wrong):
            raise InputError(f"t lies between {start:g} and {end:g}, got {wrong[0]:g}")


def make_solution(stage: MarchStage, times: tuple[float, ...], metrics: Mapping[str, Any], history: Array) -> MarchedSolution:
    """Return the solution of a march."""
    problem = stage.problem
    steady, trial, theta = _at(problem, stage, stage.marched.course.end)
    kept = tuple(t for t in times if t <= stage.marched.course.end)
    return MarchedSolution(steady, trial, theta, metrics, history, timed=problem, stage=stage, times=kept)


def _at(problem: Stated, stage: MarchStage, t: float) -> tuple[Stated, Trial, torch.Tensor]:
    """Return the problem, the trial space and its parameters at an instant."""
    steady = steady_at(problem, t)
    return steady, *stage.trial_at(t, steady)


def arrays_of(stage: MarchStage) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and the JSON-compatible values that a checkpoint holds of a march."""
    arrays, meta = stage.kept()
    kept = {**meta, "steps": stage.marched.steps, "exact": stage.marched.exact}
    return {**arrays, **stage.marched.course.arrays()}, {"march": kept}


def stage_of(problem: Case, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> MarchStage:
    """Return the march that a checkpoint holds."""
    kept = meta["march"]
    marched = Marched(Trajectory.from_arrays(arrays), kept["steps"], kept["exact"])
    kind = ElementMarch if kept["kind"] == ElementMarch.kind else FeatureMarch
    return kind.restored(problem, marched, arrays, kept)

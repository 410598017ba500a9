"""A marched solution: a steady solution at every instant, that of the end by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import ufl
from numpy.typing import ArrayLike, NDArray

from vpinn.domain import CellPoints, located_points
from vpinn.errors import InputError
from vpinn.features.orthonormal import Mixture, OrthonormalSpace, homogeneous, make_lifts
from vpinn.features.orthonormal.space import distances_of
from vpinn.march.integrate import Marched
from vpinn.march.stages import MarchStage
from vpinn.march.trajectory import Trajectory
from vpinn.objective import weakened
from vpinn.placement import host
from vpinn.problem import Formulation, Problem, Strong, Weak, frozen
from vpinn.solution import Solution
from vpinn.trial import Features, Trial

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MarchedSolution(Solution):
    """The field that a march found. As a ``Solution`` it is that of the last instant.

    Attributes:
        timed: the problem in time.
        stage: the march.
        times: instants that are written, rising.
    """

    timed: Problem | None = None
    stage: MarchStage | None = None
    times: tuple[float, ...] = ()

    @property
    def march(self) -> tuple[Problem, MarchStage]:
        """The problem in time, and the march."""
        assert self.timed is not None
        assert self.stage is not None
        return self.timed, self.stage

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Those of the problem in time: the last is t."""
        return self.march[0].coordinates

    def snapshot(self, t: float) -> Solution:
        """Return the solution at an instant.

        Raises:
            InputError: it lies outside the time of the problem, or of what was computed.
        """
        problem, stage = self.march
        self._check(np.array([t]))
        return Solution(*_at(problem, stage, t), metrics=self.metrics, exporter=self.exporter)

    def evaluate(self, x: ArrayLike) -> dict[str, Array]:
        """Return values at points and instants [n, d + 1], the instant last, or at points [n, d] at the end; see ``Solution``."""
        return self._in_time(x, 0)

    def gradient(self, x: ArrayLike) -> dict[str, Array]:
        """Return gradients in space at points and instants [n, d + 1], or at points [n, d] at the end; see ``Solution``."""
        return self._in_time(x, 1)

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
        assert problem.clock is not None
        start, end = problem.clock.start, stage.marched.course.end
        wrong = instants[~((instants >= start) & (instants <= end))]
        if len(wrong):
            raise InputError(f"t lies between {start:g} and {end:g}, got {wrong[0]:g}")


def make_solution(
    problem: Problem, stage: MarchStage, times: tuple[float, ...], metrics: Mapping[str, Any], history: Array
) -> MarchedSolution:
    """Return the solution of a march."""
    steady, trial, theta = _at(problem, stage, stage.marched.course.end)
    kept = tuple(t for t in times if t <= stage.marched.course.end)
    return MarchedSolution(steady, trial, theta, metrics, history, timed=problem, stage=stage, times=kept)


def _at(problem: Problem, stage: MarchStage, t: float) -> tuple[Problem, Trial, torch.Tensor]:
    """Return the problem, the trial space and its parameters at an instant."""
    space = stage.space
    parts, known = [], dict(space.trial.background.known)
    own = np.split(stage.marched.course(t)[: space.size], np.cumsum(space.ranks)[:-1])
    for at, (lift, distance) in enumerate(zip(stage.lifts, space.distances, strict=True)):
        value, fields = lift.field(t)
        known |= fields
        parts.append(value + distance * space.trial.function[at])
    unknowns, first = {}, 0
    for unknown in problem.unknowns:
        whole = parts[first : first + unknown.components]
        unknowns[unknown.name] = ufl.as_vector(whole) if unknown.shape else whole[0]
        first += unknown.components
    background = replace(space.trial.background, known=known)
    trial = replace(space.trial, unknowns=unknowns, background=background)
    return steady_at(problem, t), trial, space.parameters(own)


def steady_at(problem: Problem, t: float) -> Problem:
    """Return a problem in time as one that is steady: everything at an instant, and time derivatives zero in its form."""
    clock = problem.clock
    assert clock is not None
    values = {clock.t: t}
    still = values | {rate: 0.0 for pair in clock.rates.values() for rate in pair}
    formulation = frozen_formulation(problem.formulation, still)
    boundary = tuple(replace(c, value=None if c.value is None else frozen(c.value, values)) for c in problem.boundary)
    exact = {name: frozen(value, values) for name, value in problem.exact.items()}
    return replace(problem, formulation=formulation, boundary=boundary, exact=exact, reference=None, clock=None, initial=())


def frozen_formulation(
    formulation: Formulation, values: Mapping[ufl.Coefficient, float], still: tuple[ufl.Coefficient, ...] = ()
) -> Formulation:
    """Return a formulation with numbers for functions that do not vary in space; see `frozen`."""
    if formulation.pointwise:
        return Strong(tuple(frozen(one, values, still) for one in formulation.equations))
    return Weak(frozen(formulation.integrals, values, still))


def arrays_of(stage: MarchStage) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return what a checkpoint keeps of a march: arrays, and JSON-compatible values."""
    space, mixture = stage.space, stage.mixture
    arrays = {"theta": host(space.theta), **stage.marched.course.arrays()}
    arrays |= {f"map.{k}": one for k, one in enumerate(space.maps)}
    arrays |= {f"spectrum.{k}": one for k, one in enumerate(space.spectra)}
    meta = {
        "march": {
            "kind": mixture.kind,
            "width": mixture.width,
            "seed": mixture.seed,
            "steps": stage.marched.steps,
            "exact": stage.marched.exact,
            "degree": stage.points.degree,
            "refine": stage.points.refine,
        }
    }
    return arrays, meta


def stage_of(problem: Problem, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> MarchStage:
    """Return the march that a checkpoint keeps."""
    kept = meta["march"]
    stated = weakened(problem)
    base = homogeneous(stated)
    mixture = Mixture(kept["kind"], kept["width"], kept["seed"])
    outputs = base.network.outputs
    network = Features.restored(base.network, (base.network.dimension, mixture.width, outputs), mixture.kind, ())
    trial = replace(base, network=network)
    maps = tuple(arrays[f"map.{k}"] for k in range(outputs))
    spectra = tuple(arrays[f"spectrum.{k}"] for k in range(outputs))
    space = OrthonormalSpace(stated, trial, torch.from_numpy(arrays["theta"]), distances_of(stated, trial), maps, spectra)
    points = CellPoints(stated.domain.with_cells(), kept["degree"], refine=kept["refine"])
    marched = Marched(Trajectory.from_arrays(arrays), kept["steps"], kept["exact"])
    return MarchStage(mixture, space, make_lifts(stated, base.background), marched, points)

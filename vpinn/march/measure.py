"""Distances between fields over space and time: of two marches, or of a march and the exact solution."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Points
from vpinn.features.orthonormal import AtPoints, Lift, OrthonormalSpace
from vpinn.features.orthonormal.space import Derivative
from vpinn.forms import Background
from vpinn.march.trajectory import Trajectory
from vpinn.problem import Problem, stated_in
from vpinn.problem.operators import gradient

Array = NDArray[np.float64]
Field = Callable[[float], Array]
"""Instant → values and gradients of every component [components, 1 + d, n]."""
VANISHED = 1e-12
"""Least square norm at the end, relative to the largest over time, in divisions: a solution that decays to zero has no
relative error there."""
INSTANTS = 24
"""Largest number of points of the Gauss rule in time between two instants that are written."""


def field_of(space: OrthonormalSpace, lifts: Sequence[Lift], course: Trajectory, points: Points) -> Field:
    """Return the field of a march at points, as a function of time."""
    d = points.x.shape[1]
    wanted: list[Derivative] = [(), *((i,) for i in range(d))]
    functions = [np.stack([jets[key] for key in wanted]) for jets in space.jets(points, wanted)]
    known = [lift.at(points, wanted, 0) for lift in lifts]
    ends = np.cumsum(space.ranks)

    def at(t: float) -> Array:
        parts = np.split(course(t)[: space.size], ends[:-1])
        found = []
        for table, lift, own in zip(functions, known, parts, strict=True):
            moment = lift(t)
            found.append(table @ own + np.stack([moment[0, key] for key in wanted]))
        return np.stack(found)

    return at


def exact_field(problem: Problem, points: Points, opened: Sequence[int] = ()) -> Field:
    """Return the exact solution at quadrature points as a function of time, for the unknowns that have one, in order.

    Args:
        problem: problem in time with exact solutions.
        points: quadrature points of the domain.
        opened: components, counted over all unknowns, that are determined up to a constant; their mean is set to zero.
    """
    d, n = points.x.shape[1], len(points)
    first = dict(zip((u.name for u in problem.unknowns), np.cumsum([0, *(u.components for u in problem.unknowns)]), strict=False))
    known = [u for u in problem.unknowns if u.name in problem.exact]
    expressions = [one for u in known for one in (problem.exact[u.name], gradient(problem.exact[u.name], d))]
    found = AtPoints(expressions, points, Background(problem.domain), problem.time)
    free = [first[u.name] + k in opened for u in known for k in range(u.components)]

    def at(t: float) -> Array:
        rows = found(t)
        start = 0
        parts = []
        for components in (u.components for u in known):
            values, slopes = rows[start : start + components], rows[start + components : start + components * (1 + d)]
            parts.append(np.concatenate([values[:, None], slopes.reshape(components, d, n)], axis=1))
            start += components * (1 + d)
        whole = np.concatenate(parts)
        for component in np.flatnonzero(free):
            whole[component, 0] -= whole[component, 0] @ points.w / points.w.sum()
        return whole

    return at


@dataclass(frozen=True)
class Distance:
    """The distance of a field from another, which counts as the truth. All entries are relative and dimensionless.

    Attributes:
        unknowns: name → relative_l2 and relative_h1 over space and time, relative_l2_final and relative_h1_final at the end.
        relative: distance in H¹ over space and time, for all unknowns that have a time derivative together.
        final: the same distance at the last instant.
        curve: instants, and the distance in L² at each, relative to the largest norm of the truth over time [instants, 2].
    """

    unknowns: Mapping[str, Mapping[str, float]]
    relative: float
    final: float
    curve: Array


def instants_of(instants: Sequence[float]) -> tuple[Array, Array]:
    """Return instants and weights of a quadrature rule in time [m] each; the given instants are included with weight zero."""
    per = max(2, INSTANTS // (len(instants) - 1))
    s, w = np.polynomial.legendre.leggauss(per)
    times, weights = [np.asarray(instants, dtype=np.float64)], [np.zeros(len(instants))]
    for a, b in itertools.pairwise(instants):
        times.append((a + b) / 2 + (b - a) / 2 * s)
        weights.append((b - a) / 2 * w)
    t, weight = np.concatenate(times), np.concatenate(weights)
    order = np.argsort(t, kind="stable")
    return t[order], weight[order]


def gap_between(
    problem: Problem, found: Field, truth: Field, names: Sequence[str], w: Array, instants: Sequence[float]
) -> Distance:
    """Return the distance of a field from another.

    Args:
        problem: the problem.
        found: field of all components.
        truth: field of the components of the named unknowns, in order.
        names: names of the unknowns that are compared.
        w: quadrature weights of the points [n].
        instants: rising instants from the start to the end.
    """
    rows: list[int] = []
    owner: list[int] = []
    at = 0
    for unknown in problem.unknowns:
        if unknown.name in names:
            rows += range(at, at + unknown.components)
            owner += [names.index(unknown.name)] * unknown.components
        at += unknown.components
    times, weights = instants_of(instants)
    sums = np.zeros((len(times), 4, len(names)))
    for k, t in enumerate(times):
        exact = truth(float(t))
        error = found(float(t))[rows] - exact
        for column, squares in enumerate((error[:, 0] ** 2 @ w, (error[:, 1:] ** 2 @ w).sum(1))):
            np.add.at(sums[k, column], owner, squares)
        for column, squares in enumerate((exact[:, 0] ** 2 @ w, (exact[:, 1:] ** 2 @ w).sum(1)), 2):
            np.add.at(sums[k, column], owner, squares)
    return distance_of(problem, names, times, weights, sums)


def distance_of(problem: Problem, names: Sequence[str], times: Array, weights: Array, sums: Array) -> Distance:
    """Return a distance from integrals of squares over space.

    Args:
        problem: the problem.
        names: names of the unknowns that are compared.
        times: rising instants; the last is the end [instants].
        weights: quadrature weights of the instants [instants].
        sums: for every instant and unknown the integrals of the squares of the error, of its gradient, of the truth and of its
            gradient [instants, 4, unknowns].
    """
    whole = np.tensordot(weights, sums, 1)
    last = sums[-1]
    most = sums.max(0)
    unknowns: dict[str, dict[str, float]] = {}
    for j, name in enumerate(names):
        unknowns[name] = {
            "relative_l2": _ratio(whole[0, j], whole[2, j]),
            "relative_h1": _ratio(whole[:2, j].sum(), whole[2:, j].sum()),
            "relative_l2_final": _ratio(last[0, j], max(last[2, j], VANISHED * most[2, j])),
            "relative_h1_final": _ratio(last[:2, j].sum(), max(last[2:, j].sum(), VANISHED * most[2:, j].sum())),
        }
    own = changing(problem, names)
    largest = sums[:, 2, own].sum(1).max() or 1.0
    curve = np.stack([times, np.sqrt(sums[:, 0, own].sum(1) / largest)], axis=1)
    relative, final = (_ratio(part[:2, own].sum(), part[2:, own].sum()) for part in (whole, last))
    return Distance(unknowns, relative, final, curve)


def changing(problem: Problem, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which of the named unknowns have a time derivative; all of them if none has one."""
    clock, stated = problem.time, stated_in(problem.formulation)
    found = np.array([clock.order(problem.unknown(name).function, stated) > 0 for name in names])
    return found if found.any() else ~found


def _ratio(error: float, size: float) -> float:
    return float(np.sqrt(error / (size or 1.0)))


def as_metrics(gap: Distance) -> dict[str, Any]:
    """Return the errors of all unknowns as an entry of metrics.json."""
    return {name: dict(found) for name, found in gap.unknowns.items()}

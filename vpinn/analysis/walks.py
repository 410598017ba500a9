"""The error of a solution at a few points by random walks, a yardstick that needs neither mesh nor exact solution.

The error e of a solution û of −kΔu + b·∇u + cu = f solves the same equation with the residual −R of û as source, and with g − û
as boundary value. Its value at a point is a mean over walks, whose deviation is as small as the residual:

- Inside a ball or a box, with b = c = 0: walks on spheres (Muller 1956, Ann. Math. Stat. 27, 569–589). A walk jumps to a random
  point of the largest sphere around it until it is close to the boundary. A ball of radius r adds −R(Y) r²/(2dk), with Y drawn
  from its Green's function. One of a walk's balls is drawn with a probability proportional to r²; R is evaluated once a walk.
- In all of space, with c > 0 (Feynman & Kac): e(x) = −E R(x − bT + √(2kT) Z)/c, with T exponential of rate c and Z normal.

Start from `walk_error`; `check_walk` refuses other equations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Ball, Hypercube, Inside, Space, bare_points
from vpinn.errors import InputError
from vpinn.forms import Graph, Jet, build, components, derivatives
from vpinn.objective import pointwise
from vpinn.problem import Case, Problem
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
CLOSE = 1e-4
"""Distance from the boundary at which a walk ends, relative to the size of the domain."""
STEPS = 20_000
"""Most steps of a walk; one that is inside then ends where it is, which many dimensions need a few thousand steps for."""
SEED = 564_738_291
"""Seed of points and walks, unlikely to be the seed of a user's run."""
KINDS = "−k Δu = f with values on the whole boundary of a ball or hypercube, or −k Δu + b·∇u + c u = f with c > 0 in all of space"
"""Equations that have walks."""


@dataclass(frozen=True)
class Generator:
    """The operator −kΔ + b·∇ + c.

    Attributes:
        k: diffusion > 0.
        b: drift [d].
        c: rate ≥ 0.
        sign: factor ±1 by which the equation was multiplied.
    """

    k: float
    b: Array
    c: float
    sign: float


def check_walk(problem: Case) -> None:
    """Refuse ``reference.walk`` for an equation that has no walks.

    Raises:
        InputError: it has none; says which ones do.
    """
    if problem.settings.reference.walk is not None:
        with problem.source.located("reference", "walk"):
            generator_of(problem)


def generator_of(problem: Problem) -> Generator:
    """Return the operator of a problem.

    Raises:
        InputError: its equation, domain or conditions have no walks.
    """
    refusal = InputError(f"this problem has no walks; those have that are {KINDS}; leave out reference.walk")
    domain, d = problem.domain, problem.domain.dimension
    if domain.kind not in WALKS or problem.clock is not None or len(problem.unknowns) > 1 or problem.unknowns[0].shape:
        raise refusal
    equations = [part for equation in pointwise(problem).formulation.equations for part in components(equation)]
    count = problem.unknowns[0].function.count()
    graph = Graph(frozenset({count}))
    node = build(graph, equations[0])
    jets = [slot for slot in graph.slots([node]) if isinstance(slot, Jet) and slot.function == count]
    slopes = dict(zip(jets, derivatives(graph, node, [graph.slot(jet) for jet in jets]), strict=True))
    if len(equations) > 1 or not all(graph.is_number(slope) for slope in slopes.values()):
        raise refusal
    numbers = {jet.derivative: graph.value(slope) for jet, slope in slopes.items()}
    second = [numbers.pop((i, i), 0.0) for i in range(d)]
    b = np.array([numbers.pop((i,), 0.0) for i in range(d)])
    c, sign = numbers.pop((), 0.0), -math.copysign(1.0, second[0])
    k = -sign * second[0]
    held = {int(n) for one in problem.boundary if one.value is not None for n in domain.facets(one.on)}
    bounded = domain.kind != Space.kind
    plain = not numbers and k > 0.0 and np.allclose(second, second[0], rtol=1e-12)
    fits = (not b.any() and c == 0.0 and len(held) == len(domain.facets("all"))) if bounded else sign * c > 0.0
    if not plain or not fits:
        raise refusal
    return Generator(k, sign * b, sign * c, sign)


def walk_error(problem: Case, trial: Trial, theta: Tensor) -> dict[str, Any]:
    """Return what walks tell of the error of a solution.

    Args:
        problem: problem with ``reference.walk``.
        trial: trial space of the solution.
        theta: its parameters.

    Returns:
        "relative": root mean square of the error at the points, without what the walks' own noise adds to it, over that of the
        solution there; "deviation": standard deviation of the walks' means, on the same scale; "points", "walks": their numbers.
    """
    asked = problem.settings.reference.walk
    assert asked is not None
    generator, rng = generator_of(problem), np.random.default_rng(SEED)
    x = Inside(problem.domain).points(0, asked.points, "monte-carlo", SEED).take(range(asked.points)).x
    start = np.repeat(x, asked.walks, axis=0)
    end, place, weight = WALKS[problem.domain.kind](problem, generator, start, rng)
    equation = components(pointwise(problem).formulation.equations[0])[0]
    means = -generator.sign * weight * _values(Evaluator.of(problem, trial, [equation]), theta, place)
    if end is not None:
        means += _gaps(problem, trial, theta, end)
    samples = means.reshape(asked.points, asked.walks)
    mean, variance = samples.mean(axis=1), samples.var(axis=1, ddof=1) / asked.walks
    values = _values(Evaluator.of(problem, trial, [problem.unknowns[0].function]), theta, x)
    size = float((values**2).mean()) ** 0.5 or 1.0
    square = max(0.0, float((mean**2 - variance).mean()))
    deviation = math.sqrt(float(variance.mean()))
    return {
        "relative": math.sqrt(square) / size,
        "deviation": deviation / size,
        "points": asked.points,
        "walks": asked.walks,
    }


Walked = tuple[Array | None, Array, Array]
"""Ends of walks on the boundary [n, d] (None without one), a point of each at which R is evaluated [n, d], and its weight [n]."""


def _on_spheres(problem: Problem, generator: Generator, x: Array, rng: np.random.Generator) -> Walked:
    """Walk on spheres from points [n, d]."""
    domain = problem.domain
    n, d = x.shape
    x, place = x.copy(), x.copy()
    total = np.zeros(n)
    lower, upper = domain.bounds
    centre, radius = (lower + upper) / 2, (upper - lower) / 2

    def room(at: Array) -> Array:
        if domain.kind == Ball.kind:
            return np.asarray(radius[0] - np.linalg.norm(at - centre, axis=1))
        return np.asarray((radius - np.abs(at - centre)).min(axis=1))

    active = np.arange(n)
    for _ in range(STEPS):
        r = room(x[active])
        active, r = active[r > CLOSE * radius.min()], r[r > CLOSE * radius.min()]
        if not len(active):
            break
        total[active] += r**2
        chosen = rng.random(len(active)) * total[active] < r**2
        inner = np.sqrt(rng.random(len(active)) * rng.random(len(active)) ** (2.0 / d)) * r  # density s − s^{d − 1} of s = |Y|/r
        place[active[chosen]] = x[active[chosen]] + (inner[:, None] * _directions(len(active), d, rng))[chosen]
        x[active] += r[:, None] * _directions(len(active), d, rng)
    if domain.kind == Ball.kind:
        ends = centre + (x - centre) * (radius[0] / np.linalg.norm(x - centre, axis=1, keepdims=True))
    else:
        ends, axis = x, (radius - np.abs(x - centre)).argmin(axis=1)
        rank = np.arange(n)
        ends[rank, axis] = np.where(x[rank, axis] > centre[axis], upper[axis], lower[axis])
    return ends, place, total / (2.0 * d * generator.k)


def _in_space(problem: Problem, generator: Generator, x: Array, rng: np.random.Generator) -> Walked:
    """Walk from points [n, d] for an exponential time."""
    time = rng.exponential(1.0 / generator.c, len(x))[:, None]
    place = x - generator.b * time + np.sqrt(2.0 * generator.k * time) * rng.standard_normal(x.shape)
    return None, place, np.full(len(x), 1.0 / generator.c)


WALKS = {Ball.kind: _on_spheres, Hypercube.kind: _on_spheres, Space.kind: _in_space}
"""Kind of a domain → how walks go there."""


def _directions(n: int, d: int, rng: np.random.Generator) -> Array:
    """Return random unit vectors [n, d]."""
    found = rng.standard_normal((n, d))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def _values(evaluator: Evaluator, theta: Tensor, x: Array) -> Array:
    """Return the values of a scalar expression at points [n]."""
    step = evaluator.together
    return np.concatenate([evaluator(theta, bare_points(x[start : start + step]))[0] for start in range(0, len(x), step)])


def _gaps(problem: Problem, trial: Trial, theta: Tensor, x: Array) -> Array:
    """Return boundary value minus solution at points of the boundary [n]."""
    unknown, result = problem.unknowns[0].function, np.zeros(len(x))
    lower, upper = problem.domain.bounds
    for condition in problem.boundary:
        assert condition.value is not None
        here = np.ones(len(x), bool)
        if problem.domain.kind == Hypercube.kind:
            facets = problem.domain.facets(condition.on)
            sides = [np.isclose(x[:, f // 2], (upper if f % 2 else lower)[f // 2], rtol=0, atol=1e-13) for f in facets]
            here = np.any(sides, axis=0)
        if here.any():
            result[here] = _values(Evaluator.of(problem, trial, [condition.value - unknown]), theta, x[here])
    return result

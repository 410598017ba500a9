"""Whether elliptic equations in strong form have as many conditions on every part of the boundary as they need.

Close to a point of the boundary, a function of high frequency along it looks like exp(isτ·x + sμt), with t the distance from
the boundary, and L(s(iτ − μn)) annihilates its amplitude, where L are the equations with the coefficients at the point. Of all
μ those with negative real part belong to functions that fade into the domain: k of them, say. The conditions must determine the
k amplitudes (the complementing condition of Agmon, Douglis & Nirenberg 1964, Comm. Pure Appl. Math. 17, 35–92). If there are
less than k independent ones, functions of every frequency can be added to a solution, whatever is given elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ufl.classes import Expr

from vpinn.domain import FacetPoints, Mesh
from vpinn.errors import InputError
from vpinn.finite_elements.form import offsets
from vpinn.forms import Background, Graph, Jet, build, compile_tape, components, derivatives
from vpinn.objective.variation import is_linear
from vpinn.placement import host
from vpinn.problem import Condition, Problem

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
FREQUENCY = 1e10
"""Frequency s along the boundary, times the size of the domain: derivatives of lower order vanish beside those that decide."""
DIRECTIONS = 3
"""Number of directions τ along a facet in three or more dimensions."""
EACH = 8
"""Number of facets that are looked at among those with the same conditions."""
CIRCLE, CONTOUR = 64, 256
"""Values of μ on the unit circle that give the coefficients of det L, and on the circle around those that fade."""
VANISHING = 1e-7
"""Coefficient of det L, relative to the largest, up to which it vanishes."""
SLANTED = 1e-2
"""|Re μ|/|μ| below which it is not known whether a function fades; it is small in transport and waves."""
RANK = 1e-6
"""Singular value of the conditions on functions that fade, relative to the largest, up to which they are dependent."""
MOMENTS = 4
"""Number of powers of μ whose integrals around the contour span all functions that fade."""


@dataclass(frozen=True)
class Missing:
    """A place on the boundary where conditions are missing.

    Attributes:
        place: its coordinates, in words.
        needed: number of conditions that the equations need there.
        given: number of independent ones that are given.
        elsewhere: whether there are more than needed on another part: then there is at most one solution, as of Cauchy's problem.
    """

    place: str
    needed: int
    given: int
    elsewhere: bool

    def __str__(self) -> str:
        """Say what is missing, and what follows from it, in one line."""
        need = f"the equations need {self.needed} condition{'s' * (self.needed > 1)} near {self.place}"
        have = f"{self.given or 'none'} {'is' if self.given <= 1 else 'are'} given"
        if self.elsewhere:
            return f"{need}, where {have}, and have more than they need elsewhere; the answer hangs on digits nobody knows"
        return f"not unique, one solution of many: {need}, where {have}; give what is missing there"


def missing_conditions(problem: Problem) -> Missing | None:
    """Return where a linear problem in strong form lacks conditions; None if it has enough, or where that is not known."""
    mesh, pointwise = problem.domain.mesh, problem.formulation.pointwise
    others = problem.clock or problem.parameters or problem.inverse or problem.eigen or problem.loads
    if mesh is None or mesh.dimension == 1 or not pointwise or others or not is_linear(problem):
        return None
    short, most = list[tuple[int, int, int]](), 0
    try:
        for given, facets in _sides(problem, mesh):
            for facet, needed, count, rank in _counts(problem, mesh, given, facets):
                most = max(most, count - needed)
                short += [(facet, needed, rank)] if rank < needed else []
    except InputError:  # a coefficient is not finite, or there is not one equation for each component
        return None
    if not short:
        return None
    facet, needed, rank = short[len(short) // 2]
    place = mesh.nodes[mesh.facet_vertices(np.array([facet]))[0]].mean(axis=0)
    where = ", ".join(f"{axis} = {value:.3g}" for axis, value in zip("xyz", place, strict=False))
    return Missing(where, needed, rank, most > 0)


def _sides(problem: Problem, mesh: Mesh) -> Iterator[tuple[list[Condition], NDArray[np.int64]]]:
    """Yield the parts of the boundary with the same conditions: these, and a few of their facets."""
    marks = np.zeros((len(problem.boundary), len(mesh.boundary)), dtype=bool)
    for row, condition in zip(marks, problem.boundary, strict=True):
        row[mesh.facets(condition.on)] = True
    kinds, owner = np.unique(marks, axis=1, return_inverse=True)
    for number, kind in enumerate(kinds.T):
        facets = np.flatnonzero(owner.ravel() == number)
        step = max(1, len(facets) // EACH)
        yield [c for c, holds in zip(problem.boundary, kind, strict=True) if holds], facets[step // 2 :: step]


def _counts(
    problem: Problem, mesh: Mesh, given: Sequence[Condition], facets: NDArray[np.int64]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield facets with the number of conditions that they need, that are given, and of the independent ones among these.

    Raises:
        InputError: a coefficient is not finite, or there is not one equation for each component.
    """
    rule = FacetPoints(mesh, facets, 1)
    normals = rule.take(range(rule.size)).normal
    assert normals is not None
    equations = [part for equation in problem.formulation.equations for part in components(equation)]
    if len(equations) != offsets(problem)[-1]:
        raise InputError("there is not one equation for each component")
    rows = [part for condition in given for part in _expressions(problem, condition)]
    inside, outside = _Symbol.of(problem, mesh, rule, equations), _Symbol.of(problem, mesh, rule, rows)
    scale = FREQUENCY / float(np.ptp(mesh.nodes, axis=0).max())
    for at, normal in enumerate(normals):
        found = [_fading(inside, outside, at, scale * along, scale * normal) for along in _along(normal)]
        if all(found):
            needed = min(one[0] for one in found if one)
            yield int(facets[at // (rule.size // len(facets))]), needed, len(rows), max(one[1] for one in found if one)


def _expressions(problem: Problem, condition: Condition) -> list[Expr]:
    """Return the scalar expressions that vanish, or are given, by a condition."""
    if condition.residual is not None:
        return components(condition.residual)
    assert condition.unknown is not None
    parts = components(problem.unknown(condition.unknown).function)
    return parts if condition.component is None else [parts[condition.component]]


def _along(normal: Array) -> Array:
    """Return directions along a facet [DIRECTIONS or 1, d]: one is enough in the plane, as the opposite one is conjugate."""
    d = len(normal)
    drawn = np.random.default_rng(0).normal(size=(1 if d == 2 else DIRECTIONS, d))
    flat = drawn - np.outer(drawn @ normal, normal)
    return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True))


@dataclass(frozen=True)
class _Symbol:
    """Linear expressions of derivatives of the unknowns, with the values of their coefficients at points.

    Attributes:
        terms: expression, component and derivative of every coefficient.
        values: coefficients [terms, points], relative to the largest of their expression.
        shape: number of expressions and of components.
    """

    terms: tuple[tuple[int, int, tuple[int, ...]], ...]
    values: Array
    shape: tuple[int, int]

    @classmethod
    def of(cls, problem: Problem, mesh: Mesh, rule: FacetPoints, expressions: Sequence[Expr]) -> _Symbol:
        """Return the coefficients of expressions at the points of a rule.

        Raises:
            InputError: one is not finite.
        """
        graph, first = Graph(), {u.function.count(): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
        terms, nodes = list[tuple[int, int, tuple[int, ...]]](), []
        for i, expression in enumerate(expressions):
            node = build(graph, expression)
            jets = [slot for slot in graph.slots([node]) if isinstance(slot, Jet) and slot.function in first]
            nodes += derivatives(graph, node, [graph.slot(jet) for jet in jets])
            terms += [(i, first[jet.function] + jet.component, jet.derivative) for jet in jets]
        tape, points = compile_tape(graph, nodes), rule.take(range(rule.size))
        found: Sequence[Any] = tape.moving(tape.fixed(Background(mesh).values(tape.fixed_slots, points)))
        values = np.zeros((len(terms), rule.size))
        for row, value in zip(values, found, strict=True):
            row[:] = host(value) if isinstance(value, torch.Tensor) else value
        if not np.isfinite(values).all():
            raise InputError("a coefficient is not finite on the boundary")
        owners = np.array([i for i, *_ in terms], dtype=np.int64)
        largest = np.zeros(len(expressions))
        np.maximum.at(largest, owners, np.abs(values).max(axis=1, initial=0.0))
        values /= np.where(largest > 0.0, largest, 1.0)[owners, None]  # so that no number overflows
        return cls(tuple(terms), values, (len(expressions), offsets(problem)[-1]))

    def __call__(self, at: int, slopes: Complex) -> Complex:
        """Return the expressions of exp(g·x), for amplitudes of one of each component [n, expressions, components].

        Args:
            at: number of the point.
            slopes: g, n of them [n, d].
        """
        result = np.zeros((len(slopes), *self.shape), dtype=complex)
        for (i, k, derivative), value in zip(self.terms, self.values[:, at], strict=True):
            result[:, i, k] += value * np.prod(slopes[:, list(derivative)], axis=1)
        return result


def _fading(inside: _Symbol, outside: _Symbol, at: int, along: Array, normal: Array) -> tuple[int, int] | None:
    """Return how many functions fade into the domain, and how many of them conditions determine; None where that is not known.

    Args:
        inside: the equations.
        outside: the conditions.
        at: number of the point.
        along: frequency sτ along the boundary [d].
        normal: outer normal, times s [d].
    """
    matrices = inside(at, _slopes(_circle(CIRCLE), along, normal))
    rows = np.abs(matrices).max(axis=(0, 2), keepdims=True)
    columns = np.abs(matrices / np.where(rows > 0.0, rows, 1.0)).max(axis=(0, 1), keepdims=True)
    if not (rows.all() and columns.all()):
        return None
    polynomial = np.fft.fft(np.linalg.det(matrices / rows / columns)) / CIRCLE
    size = np.abs(polynomial).max()
    kept = np.flatnonzero(np.abs(polynomial) > VANISHING * size)
    if size == 0.0 or kept[0] > 0:
        return None
    roots = np.roots(polynomial[kept[-1] :: -1])
    if not (np.abs(roots.real) > SLANTED * np.abs(roots)).all():
        return None
    fading = roots[roots.real < 0.0]
    if not len(fading) or not outside.shape[0]:
        return len(fading), 0
    radius = float((np.abs(fading) ** 2 / -fading.real).max())
    turned = radius * _circle(CONTOUR)
    slopes = _slopes(turned - radius, along, normal)
    conditions = outside(at, slopes) @ (np.linalg.inv(inside(at, slopes) / rows / columns) / columns.swapaxes(1, 2))
    for axes in ((0, 2), (0, 1)):  # conditions of any order, and functions of any size
        largest = np.abs(conditions).max(axis=axes, keepdims=True)
        conditions = conditions / np.where(largest > 0.0, largest, 1.0)
    powers = ((turned - radius) / radius) ** np.arange(MOMENTS)[:, None]
    moments = np.einsum("mn,nij->imj", powers * turned / radius, conditions) / CONTOUR
    singular = np.linalg.svd(moments.reshape(len(moments), -1), compute_uv=False)
    return len(fading), int((singular > RANK * singular[0]).sum()) if singular[0] > RANK else 0


def _circle(count: int) -> Complex:
    """Return points on the unit circle, counterclockwise [count]."""
    return np.asarray(np.exp(2j * np.pi * np.arange(count) / count))


def _slopes(exponents: Complex, along: Array, normal: Array) -> Complex:
    """Return g = s(iτ − μn) for every μ [n, d]."""
    return np.asarray(1j * along - exponents[:, None] * normal)

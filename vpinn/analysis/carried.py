"""Values on parts of the boundary where the equation does not carry them, so that the solution need not take them.

The linear operator −A:∇∇u + b·∇u + cu with positive semidefinite A takes values where n·An > 0, and elsewhere on the inflow
b·n < 0 alone (Fichera 1956; Oleinik & Radkevich 1973, "Second order equations with nonnegative characteristic form"). Others
are conditions too many: in −∂²u/∂x² = 1 on a square the values at its top and bottom, which elements meet by a layer as thin
as a cell. Given at the outflow instead of the inflow, as the heat at the start of an equation with the sign of its diffusion
wrong, they determine the solution up to an exponential of its frequency, which is to say not at all. Equations of first
order, A = 0, may run in either direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.domain import FacetPoints, Inside, Mesh
from vpinn.errors import InputError
from vpinn.finite_elements import coefficients
from vpinn.finite_elements.form import offsets
from vpinn.forms import Background, Graph, Jet, Node, build, compile_tape, components, derivatives
from vpinn.objective.integrands import Integrands
from vpinn.objective.variation import is_linear
from vpinn.placement import host
from vpinn.problem import Problem

Array = NDArray[np.float64]
NONE = 1e-9
"""Size of n·An and b·n, relative to that of A and b, up to which they vanish."""
CONSISTENT = 1e-5
"""Relative error estimate up to which values too many agree with the solution."""
SECOND = 2
"""Order of the highest derivatives of operators that are looked at."""
RULE = 2
"""Degree of the rule on facets, at whose points they are looked at."""


def uncarried_values(problem: Problem, relative: float) -> str:
    """Return which values a linear problem does not carry, in one line; "" where it carries all, or where that is not known.

    Args:
        problem: problem on any domain; without cells nothing is checked.
        relative: error estimate of its solution; nan without one.
    """
    mesh = problem.domain.mesh
    if mesh is None or not any(condition.value is not None for condition in problem.boundary):
        return ""
    try:
        if not is_linear(problem):
            return ""
        sides = _Sides.of(problem, mesh)
    except InputError:  # derivatives of higher order, or no finite value at points
        return ""
    given, starts = list[NDArray[np.int64]](), dict(zip((u.name for u in problem.unknowns), offsets(problem), strict=False))
    for condition in problem.boundary:
        if condition.value is None or condition.unknown is None:
            continue
        start, facets = starts[condition.unknown], mesh.facets(condition.on)
        unknown = problem.unknown(condition.unknown)
        which = range(unknown.components) if condition.component is None else (condition.component,)
        still = sides.still([start + component for component in which], facets)
        if len(still) and not relative <= CONSISTENT:
            place = mesh.nodes[mesh.facet_vertices(still[:1])[0]].mean(axis=0)
            where = ", ".join(f"{axis} = {value:.3g}" for axis, value in zip("xyz", place, strict=False))
            return (
                f"the equation does not carry the values of {condition.unknown} near {where}: it has no derivative across this "
                "side; leave them out there"
            )
        given.append(facets)
    return sides.directions(np.unique(np.concatenate(given)), relative) if sides.alone else ""


@dataclass(frozen=True)
class _Sides:
    """What crosses the boundary, facet by facet.

    Attributes:
        across: |n·A[i, k]n| relative to |A[i, k]| of every component k, largest over equations i and the points of a facet
            [facets, n].
        flow: b·n of a single unknown, that of largest size, relative to |b|; of several |b[i, k]·n| likewise [facets, n].
        alone: whether there is one unknown with one component, and A is semidefinite.
        first: whether A vanishes, so that the equation is of first order.
    """

    across: Array
    flow: Array
    alone: bool
    first: bool

    @classmethod
    def of(cls, problem: Problem, mesh: Mesh) -> _Sides:
        """Return the sides of a linear problem.

        Raises:
            InputError: it has derivatives above the second, or coefficients without a finite value.
        """
        every = mesh.facets("all")
        rule = FacetPoints(mesh, every, RULE)
        points = rule.take(range(rule.size))
        assert points.normal is not None
        second, drift, constant = _symbol(problem, mesh, rule)
        n, count = points.normal, offsets(problem)[-1]
        sizes = np.abs(second).max(axis=(1, 2, 3, 4))
        first, alone = not sizes.any(), count == 1
        crossing = np.abs(np.einsum("qa,qiakb,qb->qik", n, second, n))
        largest = np.abs(second).max(axis=(2, 4))  # of every pair of equation and unknown, which may have units of their own
        across = (crossing / np.where(largest > 0.0, largest, 1.0)).max(axis=1)
        slopes = np.einsum("qika,qa->qik", drift, n)
        speeds = np.abs(drift).max(axis=3)
        flow = slopes[:, 0] if alone else (np.abs(slopes) / np.where(speeds > 0.0, speeds, 1.0)).max(axis=1)
        if alone and not first:
            values = np.linalg.eigvalsh(second[:, 0, :, 0, :] + second[:, 0, :, 0, :].transpose(0, 2, 1))
            floor = NONE * np.abs(values).max()
            alone = constant and bool((values >= -floor).all() or (values <= floor).all())
            flow = flow * np.sign(values.sum())
        if alone:
            flow = flow / np.where(speeds[:, 0] > 0.0, speeds[:, 0], 1.0)
        across, flow = (part.reshape(len(every), -1, count) for part in (across, flow))
        widest = np.take_along_axis(flow, np.abs(flow).argmax(axis=1)[:, None], axis=1)[:, 0]
        return cls(across.max(axis=1), widest, alone, first)

    def still(self, which: Sequence[int], facets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the facets on which no value of some component can be given."""
        across, flow = (part[facets][:, which] for part in (self.across, self.flow))
        return facets[((across <= NONE) & (np.abs(flow) <= NONE)).any(axis=1)]

    def directions(self, given: NDArray[np.int64], relative: float) -> str:
        """Return what is wrong with the sides on which values of a single unknown are given; "" where nothing is."""
        still, flow = self.across[:, 0] <= NONE, self.flow[:, 0]
        held = np.isin(np.arange(len(flow)), given)
        inflow, outflow = still & (flow < -NONE), still & (flow > NONE)
        missed = "" if relative <= CONSISTENT else "u is given where the equation arrives with values of its own"
        if self.first:
            both = (held & inflow).any() and (held & outflow).any()
            return f"{missed}, at both ends of its characteristics; leave out those at the outflow" if both and missed else ""
        if not (held & outflow).any():
            return ""
        if (inflow & ~held).any():
            return (
                "u is given at the outflow and not at the inflow, from where the equation carries it; the answer hangs on digits "
                "nobody knows: look for a wrong sign, or give u where it starts"
            )
        return missed and f"{missed}, at the outflow, too; leave those out"


def _symbol(problem: Problem, mesh: Mesh, rule: FacetPoints) -> tuple[Array, Array, bool]:
    """Return A [points, i, a, k, b] and b [points, i, k, a] at points of the boundary, and whether A is the same everywhere.

    Of a form ∫ p·v + B·∇v they are ∂B/∂∇u and ∂p/∂∇u − ∂B/∂u: n·(b + ∇·A) is what decides of the inflow, and that of the operator
    is b less ∇·A. Of equations ∇·A is left out, which is why constant A counts alone.

    Raises:
        InputError: it has derivatives above the second, or no finite value.
    """
    graph, first = Graph(), {u.function.count(): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    entries: dict[tuple[int, ...], list[Node]] = {}
    for key, node in _terms(problem, graph, first):
        entries.setdefault(key, []).append(node)
    nodes = [graph.add(parts) for parts in entries.values()]
    tape, points = compile_tape(graph, nodes), rule.take(range(rule.size))
    values = tape.moving(tape.fixed(Background(mesh).values(tape.fixed_slots, points)))
    count, d = offsets(problem)[-1], mesh.dimension
    second, drift = np.zeros((rule.size, count, d, count, d)), np.zeros((rule.size, count, count, d))
    for key, value in zip(entries, values, strict=True):
        found = host(value) if isinstance(value, torch.Tensor) else value
        i, *rest = key
        if len(rest) == SECOND + 1:
            second[:, i, rest[0], rest[1], rest[2]] += found
        else:
            drift[:, i, rest[0], rest[1]] += found
    if not (np.isfinite(second).all() and np.isfinite(drift).all()):
        raise InputError("a coefficient is not finite on the boundary")
    constant = not problem.formulation.pointwise or bool(np.ptp(second, axis=0).max() <= NONE * np.abs(second).max())
    return second, drift, constant


def _terms(problem: Problem, graph: Graph, first: dict[int, int]) -> Iterator[tuple[tuple[int, ...], Node]]:
    """Yield what adds to A[i, a, k, b] or to b[i, k, a], by place.

    Raises:
        InputError: there are derivatives above the second, or more or fewer equations than components.
    """
    if problem.formulation.pointwise:
        equations = [part for equation in problem.formulation.equations for part in components(equation)]
        tested = {Jet(-1, i, ()): build(graph, part) for i, part in enumerate(equations)}
        if len(tested) != offsets(problem)[-1]:
            raise InputError("there is not one equation for each component")
    else:
        tested = coefficients(problem, {u.name: u.function for u in problem.unknowns}, Integrands(graph, Inside))
    for test, node in tested.items():
        jets = [slot for slot in graph.slots([node]) if isinstance(slot, Jet) and slot.function in first]
        for jet, slope in zip(jets, derivatives(graph, node, [graph.slot(jet) for jet in jets]), strict=True):
            i, k = test.component, first[jet.function] + jet.component
            both = (*test.derivative, *jet.derivative)
            if len(both) > SECOND:
                raise InputError("derivatives above the second")
            if len(both) == SECOND:
                a, b = both
                factor = 1.0 if test.derivative else -0.5
                share = graph.multiply([graph.number(factor), slope])
                yield (i, a, k, b), share
                if not test.derivative:
                    yield (i, b, k, a), share
            elif both:
                factor = -1.0 if test.derivative else 1.0
                yield (i, k, both[0]), graph.multiply([graph.number(factor), slope])

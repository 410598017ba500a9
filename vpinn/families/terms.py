"""The form of a family as Σ_k θ_k(μ) F_k(u; v), with numbers θ_k of the parameters and forms F_k without them.

Sums of products are found in the form by `vpinn.forms.separate`. What they do not equal is left as ``Rest``, for interpolation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import REGIONS, Inside, Region
from vpinn.errors import InputError
from vpinn.finite_elements import Key, coefficients, linearised, numbered, terms_at, tests_of
from vpinn.finite_elements.form import Integrand, compiled
from vpinn.forms import Graph, Jet, Node, Parameter, Slot, Tape, build, compile_tape, components, separate
from vpinn.objective.integrands import Integrands
from vpinn.placement import host
from vpinn.problem import Load, Parameters, Problem

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Factors:
    """Numbers θ_k of the parameters, as a tape.

    Attributes:
        tape: takes parameters and returns θ, K numbers.
        where: place of the parameters in the problem file, for messages.
    """

    tape: Tape
    where: str

    @classmethod
    def of(cls, graph: Graph, nodes: Sequence[Node], where: str) -> Factors:
        """Return the factors that nodes of parameters alone are."""
        return cls(compile_tape(graph, nodes), where)

    def __call__(self, values: Array) -> Array:
        """Return θ [S, K] for S values of the parameters [S, P].

        Raises:
            InputError: A factor is not finite, such as 1/μ at zero.
        """
        columns = torch.from_numpy(np.ascontiguousarray(values.T))
        inputs = [columns[slot.index] for slot in self.tape.moving_slots if isinstance(slot, Parameter)]
        outputs = self.tape.moving([*self.tape.fixed([]), *inputs])
        found = np.empty((len(values), len(outputs)))
        for k, output in enumerate(outputs):
            found[:, k] = host(output) if isinstance(output, Tensor) else output
        if not (finite := np.isfinite(found).all(axis=1)).all():
            there = ", ".join(f"{value:g}" for value in values[~finite][0])
            raise InputError(f"the form or a value is not finite at parameters {there}; change their ranges", self.where)
        return found


@dataclass(frozen=True, eq=False)
class Rest:
    """Terms that are no sums of products, over one kind of region.

    Attributes:
        region: what they run over.
        tags: parts that some term lives on.
        tests: for every coefficient, the value or derivative of a test function that it multiplies.
        slopes: for every derivative of a coefficient by a jet of the unknowns, the keys of both.
        tape: evaluates the coefficients for unknowns that vanish, then the derivatives.
        first: UFL count of an unknown → its first component and place.
    """

    region: type[Region]
    tags: tuple[str, ...]
    tests: tuple[Key, ...]
    slopes: tuple[tuple[Key, Key], ...]
    tape: Tape
    first: Mapping[int, Key]


@dataclass(frozen=True, eq=False)
class Terms:
    """The form of a family.

    Attributes:
        parameters: parameters of the family.
        factors: θ_k.
        parts: integrals of each F_k.
        rests: what is left for interpolation.
    """

    parameters: Parameters
    factors: Factors
    parts: tuple[tuple[Integrand, ...], ...]
    rests: tuple[Rest, ...]

    @classmethod
    def of(cls, problem: Problem) -> Terms:
        """Return the form of a family that is linear in the unknowns.

        Raises:
            InputError: it is not linear, or has second derivatives.
        """
        graph = Graph(frozenset(unknown.function.count() for unknown in problem.unknowns))
        counts, d = numbered(problem), problem.symbols.dimension
        parts, rests = dict[Node, list[Integrand]](), list[Rest]()
        measures: list[tuple[type[Region], Load | None]] = [(region, None) for region in REGIONS]
        measures += [(Inside, load) for load in problem.loads]
        for region, load in measures:
            side = Integrands(graph, region)
            unknowns: Mapping[str, Any] = {u.name: u.function for u in problem.unknowns}
            stated = coefficients(problem, unknowns, side, None if load is None else terms_at(problem, load))
            groups, left = _grouped(graph, stated)
            if left and load is not None:
                raise InputError(
                    "a load at a point is no sum of products of parameters and functions of the place; write it as one",
                    problem.where("form", problem.formulation.name),
                )
            for factor, nodes in groups.items():
                parts.setdefault(factor, []).append(compiled(side, nodes, counts, d, load))
            if left:
                rests.append(_rest(problem, side, left, counts))
        if not all(one.linear for part in parts.values() for one in part):
            raise _nonlinear(problem)
        factors = Factors.of(graph, list(parts), problem.where("parameters"))
        return cls(problem.ranges, factors, tuple(map(tuple, parts.values())), tuple(rests))


def _grouped(graph: Graph, stated: Mapping[Jet, Node]) -> tuple[dict[Node, dict[Jet, Node]], dict[Jet, Node]]:
    """Return θ → coefficients of the test functions in its form, and the coefficients of what is left."""
    groups, left = dict[Node, dict[Jet, Node]](), dict[Jet, Node]()
    for jet, node in stated.items():
        found = separate(graph, node)
        for factor, other in found.terms.items():
            groups.setdefault(factor, {})[jet] = other
        if found.rest:
            left[jet] = graph.add(found.rest)
    return groups, left


def _rest(problem: Problem, side: Integrands, nodes: Mapping[Jet, Node], counts: Mapping[int, Key]) -> Rest:
    graph = side.graph
    d = problem.symbols.dimension
    slopes = linearised(graph, nodes, counts, d)
    for slope in slopes.values():
        if any(isinstance(slot, Jet) and slot.function in counts for slot in graph.slots([slope])):
            raise _nonlinear(problem)
    jets = [slot for slot in graph.slots(nodes.values()) if isinstance(slot, Jet) and slot.function in counts]
    zeros: dict[Slot, float] = dict.fromkeys(jets, 0.0)
    sources = graph.substitute(nodes.values(), zeros)
    tape = compile_tape(graph, [*sources, *slopes.values()])
    return Rest(side.region, tuple(sorted(side.tags)), tests_of(nodes, d), tuple(slopes), tape, counts)


def _nonlinear(problem: Problem) -> InputError:
    return InputError(
        "a family of nonlinear problems has no reduced space yet; solve one value at a time, with it in [constants]",
        problem.where("parameters"),
    )


def boundary_factors(problem: Problem) -> Factors:
    """Return numbers θ_k of the parameters such that all prescribed values are sums Σ θ_k(μ) g_k(x).

    Raises:
        InputError: a value is no such sum.
    """
    graph, found = Graph(), dict[Node, None]()
    given = [(one.value, one.where) for one in problem.boundary if one.value is not None]
    given += [(one.value, one.where) for one in problem.supports]
    for value, where in given:
        for part in components(value):
            separated = separate(graph, build(graph, part))
            if separated.rest:
                raise InputError(
                    "a value with parameters is a sum of products of one factor of parameters and one of the place, such as "
                    "mu*x + mu**2; write it so",
                    where,
                )
            found |= dict.fromkeys(factor for factor, node in separated.terms.items() if not graph.is_zero(node))
    return Factors.of(graph, list(found), problem.where("parameters"))

"""Problem and trial space → objective: all terms as integrands over two measures, dx and ds. Start with `make_objective`.

| formulation | density | residual |
|---|---|---|
| energy | ℓ(u, ∇u) | |
| weak | | F(u; v) |
| strong | ½ Σ R² | |
| penalty | ½ β (u − g)² on ds | |
| nitsche, energy | −(∂ℓ/∂∇u·n)(u − g) + ½ β/h (u − g)² on ds | |
| nitsche, weak | | −(B·n) v + β/h (u − g) v on ds, with F = a v + B·∇v |

Here g is the boundary value, h the cell diameter and n the normal. The weights β come from `vpinn.objective.penalty`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import ufl
from numpy.typing import NDArray

from vpinn.domain import AFFORDABLE, BoundaryPart, Inside, PointSet, Region, affordable_refine
from vpinn.errors import InputError
from vpinn.forms import Geometry, Graph, Integral, Jet, Node, build, compile_tapes, components, derivatives, integrals, split, tag
from vpinn.forms.graph import SLOT
from vpinn.objective.contraction import Contraction
from vpinn.objective.control import by_parts, controlled, estimator_of, natural_facets
from vpinn.objective.measure import DUAL, Measure
from vpinn.objective.objective import Objective
from vpinn.objective.penalty import nitsche_weight, penalty_weight, residual_weight
from vpinn.objective.test_functions import make_test_space
from vpinn.objective.test_space import TestSpace
from vpinn.placement import HERE, Placement
from vpinn.problem import Case, Problem, Settings
from vpinn.trial import Imposed, Trial, check_enrichment

SUMMED = 2**22
"""Largest number of points of a random rule that is used where sums run over all points."""
CHECKED, AT_A_TIME = 200_000, 20_000
"""Number of points at which integrands are checked for singular enrich functions, and how many of them at a time."""


@dataclass
class Integrands:
    """The integrands of one measure while they are gathered, as nodes of one graph."""

    graph: Graph
    region: type[Region]
    density: list[Node] = field(default_factory=list)
    roots: list[Node] = field(default_factory=list)
    """Roots R; the density contains ½R² for each."""
    residual: list[Node] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    """Tags of the parts over which some term is integrated; "all" if a term is integrated over everything."""
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Further boundary facets, where fluxes of a control variate live."""

    def masked(self, node: Node, tags: Sequence[str]) -> Node:
        """Return the node multiplied by the indicator of the tagged parts; without tags, or with "all", the node itself."""
        self.tags |= set(tags) or {"all"}
        if not tags or "all" in tags:
            return node
        marks = [self.graph.slot(tag(name, self.region)) for name in tags]
        mark = marks[0] if len(marks) == 1 else self.graph.call("min", self.graph.add(marks), self.graph.number(1.0))
        return self.graph.multiply([mark, node])


def make_objective(  # noqa: PLR0913 (keywords of how points and tests are chosen)
    problem: Case,
    trial: Trial,
    placement: Placement = HERE,
    degree: int | None = None,
    test_degree: int | None = None,
    summed: bool = False,
    facet_degree: int | None = None,
    refine: int | None = None,
    unit: float = 1.0,
    settings: Settings | None = None,
) -> Objective:
    """Return the objective of a problem on a trial space.

    Args:
        problem: the problem.
        trial: its trial space.
        placement: device, precision and threads of the computation.
        degree: quadrature degree; None for that of the problem file.
        test_degree: degree of the test space; None for that of the problem file.
        summed: whether to take few enough points that sums over all of them are affordable, at most ``SUMMED`` on a hypercube.
        facet_degree: quadrature degree on the boundary; None for that of the domain.
        refine: how often every cell is halved before the rule is applied; None for ``quadrature.refine`` of the problem file, or
            less if ``degree`` or ``summed`` is given and sums over so many points are not affordable.
        unit: unit of the objective, > 0, in the units of the functional in the problem file.
        settings: settings of quadrature, test space, batch and seed; None for those of the problem file.

    Raises:
        InputError: the formulation does not permit something in the problem file.
    """
    settings = settings or problem.settings
    space = make_test_space(problem, trial, placement, test_degree, settings) if problem.formulation.tested else None
    own, asked = degree is None and not summed, settings.quadrature.refine
    degree = degree or quadrature_degree(problem, space, settings)
    if refine is None:
        refine = asked if own or problem.domain.mesh is None else affordable_refine(problem.domain.mesh, degree, asked)

    def measures(parts: Sequence[Integral], rows: NDArray[np.int64] | None = None) -> tuple[Measure, ...]:
        sides = _integrands(problem, trial, parts, rows)
        found = (side for side in sides if side.tags or len(side.rows))
        degrees = {Inside: degree, BoundaryPart: facet_degree or degree}
        pointed = ((side, _points(problem, side, degrees[side.region], refine, summed, settings)) for side in found)
        return tuple(_measure(problem, trial, side, space, placement, points, unit) for side, points in pointed)

    outputs = sum(int(np.prod(u.shape)) for u in problem.unknowns)
    estimator, why = estimator_of(problem, trial, settings.batch)
    whole, drawn = by_parts(problem, trial), estimator == "control-variate"
    varied = measures(controlled(problem), natural_facets(problem, trial)) if whole or drawn else ()
    found = varied if whole else measures(integrals(problem.formulation.integrals))
    return Objective(found, space, outputs, estimator, placement, why, varied if drawn else (), unit)


def summable(objective: Objective, problem: Case, trial: Trial) -> Objective:
    """Return the objective itself, or one with fewer points if repeated sums over all of its points are not affordable."""
    if objective.size <= (AFFORDABLE if problem.settings.quadrature.refine else SUMMED):
        return objective
    return make_objective(problem, trial, objective.placement, summed=True, unit=objective.unit)


def _integrands(
    problem: Problem, trial: Trial, parts: Sequence[Integral], rows: NDArray[np.int64] | None
) -> tuple[Integrands, Integrands]:
    """Gather what is integrated over dx and over ds; terms over all of ds are over facets ``rows`` where these are given."""
    varying = frozenset({trial.function.count(), DUAL})
    cell, facet = Integrands(Graph(varying), Inside), Integrands(Graph(varying), BoundaryPart)
    replace = {u.function: trial.unknowns[u.name] for u in problem.unknowns}
    equations = [part for equation in problem.formulation.equations for part in components(equation)]
    nodes = [build(cell.graph, equation, replace) for equation in equations]
    cell.roots += [cell.masked(node, ()) for node in nodes]
    for part in parts:
        side = cell if part.region is Inside else facet
        node = build(side.graph, part.integrand, replace)
        kept = side.residual if problem.formulation.tested else side.density
        if part.region is BoundaryPart and not part.tags and rows is not None:
            side.rows = rows
            kept.append(node)
        else:
            kept.append(side.masked(node, tuple(problem.tags[i] for i in part.tags)))
    for imposed in trial.imposed:
        if imposed.how != "exact":
            _impose(problem, trial, imposed, facet, replace)
    for condition in problem.boundary:
        if condition.residual is not None:
            weight = residual_weight(problem, trial, condition)
            for equation in components(condition.residual):
                node = build(facet.graph, equation, replace)
                root = facet.graph.multiply([facet.graph.number(math.sqrt(weight)), node])
                facet.roots.append(facet.masked(root, condition.on))
    return cell, facet


def quadrature_degree(problem: Case, space: TestSpace | None, settings: Settings | None = None) -> int:
    """Return the quadrature degree of the settings (None for those of the problem file), or a default for mesh and test space.

    Without a test space the default falls from 10 on a hundred cells to 4 on a hundred thousand, because the number of points
    that a network needs does not grow with the number of cells. With test functions of degree p it is 2p + 3, which integrates
    their products with fields of degree p + 3 exactly.
    """
    asked = (settings or problem.settings).quadrature.degree
    if asked is not None:
        return int(asked)
    if space is not None:
        return min(30, 2 * space.space.degree + 3)
    return int(np.clip(round(14 - 2 * np.log10(max(1, problem.domain.n_cells))), 4, 10))


def quadrature_rule(problem: Case, settings: Settings | None = None) -> tuple[str, int]:
    """Return the kind of quadrature rule and the number of points that it has on a hypercube.

    The default number is 2¹² in one dimension, 2¹⁴ in two and 2¹⁵ in more.

    Raises:
        InputError: the rule needs a mesh and there is none.
    """
    asked, domain = (settings or problem.settings).quadrature, problem.domain
    rule = asked.rule if asked.rule != "auto" else domain.rule
    if rule in ("gauss", "stochastic-gauss"):
        domain.with_cells(f'quadrature.rule = "{rule}" needs the cells of a mesh; use "sobol" or "monte-carlo" on a hypercube')
    if asked.refine:
        domain.with_cells("quadrature.refine halves the cells of a mesh; give quadrature.points on a hypercube")
    return rule, asked.points or 2 ** min(15, 10 + 2 * domain.dimension)


def expected_points(problem: Case) -> int:
    """Return how many quadrature points the settings of a problem put into its domain, before a test space asks for others."""
    rule, count = quadrature_rule(problem)
    refine = problem.settings.quadrature.refine
    return Inside(problem.domain).points(quadrature_degree(problem, None), count, rule, 0, refine).size


def _impose(
    problem: Problem, trial: Trial, imposed: Imposed, facet: Integrands, replace: Mapping[ufl.Coefficient, ufl.core.expr.Expr]
) -> None:
    """Add the penalty or Nitsche terms of one condition on one component to the integrands over ds."""
    graph, condition = facet.graph, imposed.condition
    unknown = next(u for u in problem.unknowns if u.name == condition.unknown)
    u = components(replace[unknown.function])[imposed.component]
    gap = build(graph, u - ufl.replace(imposed.value, replace))
    if imposed.how != "nitsche":
        weight = penalty_weight(problem, trial, condition, imposed.component)
        facet.roots.append(facet.masked(graph.multiply([graph.number(math.sqrt(weight)), gap]), condition.on))
        return
    if problem.formulation.pointwise:
        raise InputError('impose = "nitsche" needs an energy or a weak form; use "penalty" with a strong form', condition.where)
    flux = _flux(problem, unknown.test, imposed.component, facet, replace)
    weight = nitsche_weight(problem, trial, condition, imposed.component)
    stabilisation = graph.call("divide", graph.number(weight), graph.slot(Geometry("h")))
    test = build(graph, components(unknown.test)[imposed.component])
    products = problem.formulation.nitsche(flux, gap, test, stabilisation)
    terms = [graph.multiply([graph.number(number), *factors]) for number, factors in products]
    kept = facet.residual if problem.formulation.tested else facet.density
    kept.append(facet.masked(graph.add(terms), condition.on))


def _flux(
    problem: Problem,
    test: ufl.Argument,
    component: int,
    facet: Integrands,
    replace: Mapping[ufl.Coefficient, ufl.core.expr.Expr],
) -> Node:
    """Return B·n of one component on the boundary, where F = a·v + B·∇v is the (first variation of the) form."""
    graph = facet.graph
    terms = []
    part_of_test = -1 - (test.part() or 0)
    for part in integrals(problem.variation):
        if part.region is not Inside:
            continue
        node = build(graph, part.integrand, replace)
        for jet, coefficient in split(graph, node).items():
            if jet.function == part_of_test and jet.component == component and len(jet.derivative) == 1:
                mark = [graph.slot(tag(problem.tags[i], Inside)) for i in part.tags]
                terms.append(graph.multiply([graph.slot(Geometry("n", jet.derivative[0])), coefficient, *mark]))
    return graph.add(terms)


def _points(problem: Case, side: Integrands, degree: int, refine: int, summed: bool, settings: Settings) -> PointSet:
    """Return the quadrature points of some integrands."""
    domain, seed = problem.domain, settings.solver.seed
    rule, count = quadrature_rule(problem, settings)
    count = min(count, SUMMED) if summed else count
    if side.region is Inside:
        return Inside(domain).points(degree, count, rule, seed, refine)
    tagged = domain.facets(tuple(sorted(side.tags))) if side.tags else np.empty(0, np.int64)
    return BoundaryPart(domain, np.union1d(tagged, side.rows)).points(degree, max(1, count // 4), rule, seed, refine)


def _measure(
    problem: Case,
    trial: Trial,
    side: Integrands,
    space: TestSpace | None,
    placement: Placement,
    points: PointSet,
    unit: float,
) -> Measure:
    graph = side.graph
    whole, root = graph.number(1.0 / unit), graph.number(1.0 / math.sqrt(unit))
    offsets = np.concatenate([[0], np.cumsum([int(np.prod(u.shape)) for u in problem.unknowns])])
    parts = {-1 - (u.test.part() or 0): int(offsets[i]) for i, u in enumerate(problem.unknowns)}
    coefficients = split(graph, graph.multiply([root, graph.add(side.residual)])) if side.residual else {}
    if any(len(jet.derivative) > 1 for jet in coefficients):
        raise InputError(
            "the weak form has second derivatives of a test function, which conforming elements do not have; integrate by parts"
        )
    tests = tuple(Jet(-1, parts[jet.function] + jet.component, jet.derivative) for jet in coefficients)
    roots = [graph.multiply([root, node]) for node in side.roots]
    squares = [graph.multiply([graph.number(0.5), node, node]) for node in roots]
    density = graph.add([*(graph.multiply([whole, node]) for node in side.density), *squares])
    outputs = [density, *coefficients.values(), *roots]
    jets = [i for i in graph.reachable(outputs) if graph.nodes[i][0] == SLOT and not graph.static[i]]
    duals = [graph.multiply([graph.slot(Jet(DUAL, k)), node]) for k, node in enumerate(coefficients.values())]
    slopes = derivatives(graph, graph.add([density, *duals]), jets)
    tape, adjoint = compile_tapes(graph, [outputs, [density, *slopes]])
    rule, _ = quadrature_rule(problem)
    if tests and rule not in ("gauss", "stochastic-gauss"):
        raise InputError(f'a weak form needs quadrature.rule = "gauss" or "stochastic-gauss", got "{rule}"')
    contraction = Contraction(space.space, points, placement) if tests and space is not None else None  # type: ignore[arg-type]
    measure = Measure(points, side.region, trial.network, tape, adjoint, tests, contraction, trial.background, placement)
    if problem.enrich:
        for part in points.chunks(AT_A_TIME):
            if part.start >= CHECKED:
                break
            if not all(bool(values.isfinite().all()) for values in measure.compute(part).fixed):
                check_enrichment(problem, points.take(part))
    return measure

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

import contextlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import ufl
from numpy.typing import NDArray

from vpinn.domain import AFFORDABLE, BoundaryPart, Inside, PointSet, affordable_refine
from vpinn.errors import InputError
from vpinn.forms import Geometry, Graph, Integral, Jet, Node, build, compile_tapes, components, derivatives, integrals, split, tag
from vpinn.forms.graph import SLOT
from vpinn.objective.contraction import Contraction
from vpinn.objective.control import by_parts, controlled, estimator_of, natural_facets
from vpinn.objective.directions import Directions, Split, equations_split
from vpinn.objective.integrands import Integrands
from vpinn.objective.measure import DUAL, Measure
from vpinn.objective.objective import Objective
from vpinn.objective.penalty import nitsche_weight, penalty_weight, residual_weight
from vpinn.objective.resolution import FROM_SETTINGS, SUMMED, Resolution, quadrature_degree, quadrature_points, quadrature_rule
from vpinn.objective.test_functions import make_test_space
from vpinn.objective.test_space import TestSpace
from vpinn.placement import HERE, Placement
from vpinn.problem import Case, Problem, Settings
from vpinn.trial import Enriched, Imposed, Trial, check_enrichment

FEW = 5
"""Dimension up to which second derivatives are evaluated one by one."""
CHECKED, AT_A_TIME = 200_000, 20_000
"""Number of points at which integrands are checked for singular enrich functions, and how many of them at a time."""


def make_objective(
    problem: Case,
    trial: Trial,
    placement: Placement = HERE,
    resolution: Resolution = FROM_SETTINGS,
    unit: float = 1.0,
    settings: Settings | None = None,
) -> Objective:
    """Return the objective of a problem on a trial space.

    Args:
        problem: the problem.
        trial: its trial space.
        placement: device, precision and threads of the computation.
        resolution: degrees and points that are prescribed; by default all follow from the settings.
        unit: unit of the objective, > 0, in the units of the functional in the problem file.
        settings: settings of quadrature, test space, batch and seed; None for those of the problem file.

    Raises:
        InputError: the formulation does not permit something in the problem file.
    """
    settings = settings or problem.settings
    space = make_test_space(problem, trial, placement, resolution.tests, settings) if problem.formulation.tested else None
    degree = resolution.degree or quadrature_degree(problem, settings, space)
    rule, _ = quadrature_rule(problem, settings)
    if space is not None and rule not in ("gauss", "stochastic-gauss"):
        raise InputError(f'a weak form needs quadrature.rule = "gauss" or "stochastic-gauss", got "{rule}"')
    refine = resolution.refine
    if refine is None:
        refine = settings.quadrature.refine
        if problem.domain.mesh is not None and (resolution.degree is not None or resolution.summed):
            refine = affordable_refine(problem.domain.mesh, degree, refine)

    def measures(parts: Sequence[Integral], rows: NDArray[np.int64] | None = None) -> tuple[Measure, ...]:
        sides = _integrands(problem, trial, parts, rows)
        sides[0].drawn = settings.batch.directions is not None
        found = (side for side in sides if side.tags or len(side.rows))
        degrees = {Inside: degree, BoundaryPart: resolution.facets or degree}
        pointed = (
            (side, quadrature_points(problem, settings, side, degrees[side.region], refine, resolution.summed)) for side in found
        )
        return tuple(_measure(problem, trial, side, space, placement, points, unit) for side, points in pointed)

    outputs = sum(int(np.prod(u.shape)) for u in problem.unknowns)
    estimator, why = estimator_of(problem, trial, settings.batch)
    whole, drawn = by_parts(problem, trial), estimator == "control-variate"
    varied = measures(controlled(problem), natural_facets(problem, trial)) if whole or drawn else ()
    found = varied if whole else measures(integrals(problem.formulation.integrals))
    objective = Objective(found, space, outputs, estimator, placement, why, varied if drawn else (), unit)
    count = settings.batch.directions
    return objective.taking(count) if isinstance(count, int) else objective


def summable(objective: Objective, problem: Case, trial: Trial) -> Objective:
    """Return the objective itself, or one with fewer points if repeated sums over all of its points are not affordable."""
    if objective.size <= (AFFORDABLE if problem.settings.quadrature.refine else SUMMED):
        return objective
    return make_objective(problem, trial, objective.placement, Resolution(summed=True), objective.unit)


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


def _bent(problem: Problem, trial: Trial, side: Integrands, densities: list[Node], roots: list[Node]) -> Split | None:
    """Return what draws second derivatives, or evaluates many of them fast; None where nothing does.

    Raises:
        InputError: second derivatives shall be drawn, and the form does not permit it.
    """
    if side.drawn:
        return equations_split(side.graph, problem, densities, roots)
    many = not problem.domain.n_cells and problem.domain.dimension > FEW and side.region is Inside
    if not many or not roots or type(trial.network) is not Enriched:
        return None
    with contextlib.suppress(InputError):
        return equations_split(side.graph, problem, densities, roots)
    return None


def _measure(
    problem: Problem,
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
    densities = [graph.multiply([whole, node]) for node in side.density]
    density = graph.add([*densities, *squares])
    outputs = [density, *coefficients.values(), *roots]
    jets = [i for i in graph.reachable(outputs) if graph.nodes[i][0] == SLOT and not graph.static[i]]
    duals = [graph.multiply([graph.slot(Jet(DUAL, k)), node]) for k, node in enumerate(coefficients.values())]
    slopes = derivatives(graph, graph.add([density, *duals]), jets)
    bent = _bent(problem, trial, side, densities, roots)
    tape, adjoint, *sampled = compile_tapes(graph, [outputs, [density, *slopes], *([bent.outputs] if bent else [])])
    contraction = Contraction(space.space, points, placement) if tests and space is not None else None  # type: ignore[arg-type]
    directions = Directions(trial.network, sampled[0], bent.terms, bent.coordinates, len(bent.coordinates)) if bent else None
    measure = Measure(
        points, side.region, trial.network, tape, adjoint, tests, contraction, trial.background, placement, directions
    )
    if problem.enrich:
        for part in points.chunks(AT_A_TIME):
            if part.start >= CHECKED:
                break
            if not all(bool(values.isfinite().all()) for values in measure.compute(part).fixed):
                check_enrichment(problem, points.take(part))
    return measure

"""The trial space: every unknown as a UFL expression of one network, with a decision how each condition is imposed.

Conditions are built into the expressions (u = lift + distance · network) where a smooth distance exists; all others are imposed
by terms in the objective. Start with `make_trial`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import ufl
from ufl.algorithms.analysis import extract_type
from ufl.classes import CellDiameter, FacetNormal
from ufl.core.expr import Expr

from vpinn.domain import BoundaryPart, Box, Disk, LagrangeSpace, Mesh, Polygon, bare_points, functions_per_cell, polygon_of
from vpinn.errors import InputError
from vpinn.forms import Background, Field, components, evaluate
from vpinn.problem import Case, Condition, Problem
from vpinn.trial.corner_chart import CornerChart
from vpinn.trial.corners import corner_functions
from vpinn.trial.enrichment import Enriched, vanishes
from vpinn.trial.essential import Factor, guarded, on_box, on_disk, on_polygon, unliftable
from vpinn.trial.features import Features
from vpinn.trial.field import Beside, MeshField, harmonic, torsion
from vpinn.trial.imposed import Imposed
from vpinn.trial.near import near
from vpinn.trial.places import small_places
from vpinn.trial.scales import Scales

ASKED = "as the problem file asks"
"""Reason for a way to impose a condition that the problem file names."""
ROWS = "weighted rows, which keep the unknowns smooth"
"""Reason why least squares imposes a condition by penalty."""
NOT_ZERO = "the enrich functions are not zero there"
"""Reason why a condition is not met exactly although a distance exists."""
TESTED = "the energy's first variation is tested, as Nitsche's energy has no least value for networks"
"""Addition to the reason where an energy with Nitsche's terms is replaced by its first variation."""
LAYERS = (30, 30, 30)
"""Default widths of the hidden layers."""
GAP = 1e-6
"""Largest deviation of a lift from the boundary values, relative to 1 + their largest size, at which it counts as equal."""
DEGREES = (4, 3, 2)
"""Polynomial degrees of distances and lifts on meshes, of which the first is taken that ``FIELD_SIZE`` permits (else the last).

Their derivatives jump between cells. The network cannot compensate these jumps, so that they limit the accuracy; a higher degree
makes them smaller."""
FIELD_SIZE = {1: 20_000, 2: 20_000, 3: 8_000}
"""Largest number of basis functions of a distance or lift, by dimension of the domain, which bounds memory and time."""


@dataclass(frozen=True)
class Trial:
    """The set of functions among which a solution is sought, as expressions of a network.

    Attributes:
        network: the network; its outputs are the components of all unknowns in order, its extra parameters the coefficients
            of the enrich functions, component by component.
        function: UFL coefficient that stands for the network's outputs, shape [outputs].
        unknowns: name → expression of ``function`` that satisfies the conditions imposed exactly.
        background: domain and known functions (distances and lifts on the mesh).
        imposed: how every condition is imposed, component by component.
        coefficients: UFL constant that stands for the coefficients of the enrich functions [max(1, network.extra)].
        scales: factors that make the network's outputs and the coefficients dimensionless; None if there are none.
        elements: finite element solution, one function per component, to which a network of one neuron is added; () for none.
        beside: finite element functions that are added to a trained network; None for none.
        across: name → the unknown's value on the far side of interfaces, as far as it differs; {} for none.
    """

    network: Enriched
    function: ufl.Coefficient
    unknowns: Mapping[str, Expr]
    background: Background
    imposed: tuple[Imposed, ...] = field(default=())
    coefficients: ufl.Constant | None = None
    scales: Scales | None = None
    elements: tuple[MeshField, ...] = ()
    beside: Beside | None = None
    across: Mapping[str, Expr] = field(default_factory=dict)

    @property
    def space(self) -> LagrangeSpace | None:
        """Space of the finite element solution ``elements``; None without one."""
        return self.elements[0].space if self.elements else None

    @property
    def rows(self) -> bool:
        """Whether conditions that could be met exactly are imposed by weighted rows, as least squares does."""
        return any(i.how == "penalty" and i.why == ROWS for i in self.imposed)

    @property
    def corners(self) -> bool:
        """Whether the features include singular functions of the domain's corners."""
        return isinstance(self.network, Features) and len(self.network.corners) > 0

    def scaled(self, scales: Scales) -> Trial:
        """Return the trial space of the same functions with a network of dimensionless outputs and coefficients.

        Args:
            scales: the factors.
        """
        outputs = zip(scales.shifts, scales.sizes, components(self.function), strict=True)
        known: dict[Expr, Expr] = {self.function: ufl.as_vector([m + s * n for m, s, n in outputs])}
        if scales.extras and self.coefficients is not None:
            known[self.coefficients] = ufl.as_vector([s * c for s, c in zip(scales.extras, self.coefficients, strict=True)])
        unknowns = {name: ufl.replace(expression, known) for name, expression in self.unknowns.items()}
        return replace(self, unknowns=unknowns, scales=scales)


def make_trial(problem: Case, rows: bool = False, corners: bool = False, layers: Sequence[int] | None = None) -> Trial:
    """Return the trial space of a problem.

    Args:
        problem: the problem.
        rows: for least squares: impose conditions exactly on boxes and disks only, where distances are smooth, and by weighted
            rows elsewhere.
        corners: for least squares: include singular functions of the domain's corners, which must not be multiplied by a
            distance, and impose all conditions by weighted rows. No functions are included if no corner is singular or if the
            problem file asks for an exact condition.
        layers: widths of the hidden layers; None for those of the problem file.

    Raises:
        InputError: a condition asks to be imposed exactly where no smooth lift has its values.
    """
    sizes = {u.name: int(np.prod(u.shape)) for u in problem.unknowns}
    lower, upper = problem.domain.bounds
    settings = problem.settings.network
    widths = (problem.domain.dimension, *(layers or settings.layers or LAYERS), sum(sizes.values()))
    extra = len(problem.enrich) * widths[-1]
    network = Enriched(widths, settings.activation, tuple(map(float, lower)), tuple(map(float, upper)), extra)
    function = problem.symbols.coefficient((network.outputs,))
    coefficients = ufl.Constant(problem.symbols.mesh, shape=(max(1, extra),))
    known: dict[int, Field] = {}
    imposed: list[Imposed] = []
    unknowns: dict[str, Expr] = {}
    at = 0
    for unknown in problem.unknowns:
        parts = []
        for component in range(sizes[unknown.name]):
            asked = list(_conditions(problem, unknown.name, component))
            factor, settled = _settle(problem, component, asked, known, rows or corners, corners)
            tested = not problem.formulation.squared and not rows
            imposed += [replace(i, why=f"{i.why}; {TESTED}") if tested and i.how == "nitsche" else i for i in settled]
            raw = function[at]
            smooth = raw if factor is None else factor.lift + factor.distance * raw
            first = at * len(problem.enrich)
            parts.append(sum((coefficients[first + k] * e for k, e in enumerate(problem.enrich)), smooth))
            at += 1
        unknowns[unknown.name] = _reshape(parts, unknown.shape)
    if not rows and not corners and settings.places and problem.domain.mesh is not None:
        network = near(network, small_places(problem), problem.domain.mesh.nodes)
    functions = corner_functions(problem, imposed) if corners and all(i.how != "exact" for i in imposed) else ()
    if functions:
        chart = CornerChart(functions)
        widths = (widths[0], chart.count, widths[-1])
        network = Features(widths, network.activation, network.lower, network.upper, extra, ((chart, chart.count),))
    return Trial(network, function, unknowns, Background(problem.domain, known), tuple(imposed), coefficients)


def _reshape(parts: Sequence[Expr], shape: tuple[int, ...]) -> Expr:
    return parts[0] if shape == () else ufl.as_vector(list(parts))


def _conditions(problem: Problem, unknown: str, component: int) -> Iterator[tuple[Condition, Expr]]:
    for condition in problem.boundary:
        if condition.unknown == unknown and condition.value is not None:
            if condition.component is not None:
                if condition.component == component:
                    yield condition, condition.value
            else:
                yield condition, components(condition.value)[component]


def _settle(
    problem: Problem, component: int, asked: Sequence[tuple[Condition, Expr]], known: dict[int, Field], rows: bool, corners: bool
) -> tuple[Factor | None, list[Imposed]]:
    """Decide how each condition on one component is imposed.

    Args:
        problem: the problem.
        component: component of its unknown.
        asked: conditions on this component with their scalar values.
        known: known functions by number of their UFL coefficient; distances and lifts on meshes are added.
        rows: whether conditions become weighted rows unless exact ones keep the unknowns smooth.
        corners: whether no distance may be used, because of corner functions.

    Returns:
        distance and lift (None without exact conditions), and how each condition is imposed.
    """
    smooth = isinstance(problem.domain.shape, Box | Disk) and not corners
    squares = rows or problem.formulation.pointwise or problem.domain.mesh is None
    fallback = "penalty" if squares else "nitsche"
    tried = ("auto", "exact") if smooth or not rows else ("exact",)
    exact = [(c, value) for c, value in asked if c.impose in tried and _enrichable(problem, c)]
    chosen = ("penalty", ROWS) if rows else (fallback, NOT_ZERO)
    settled = [
        Imposed(c, component, value, *((c.impose, ASKED) if c.impose != "auto" else chosen))
        for c, value in asked
        if c not in [condition for condition, _ in exact]
    ]
    if not exact:
        return None, settled
    factor, why = guarded(lambda some: _factor(problem, some, known), exact)
    if factor is None:
        for condition, _ in exact:
            if condition.impose == "exact":
                raise InputError(f'impose = "exact" cannot be met: {why}; use "auto", "penalty" or "nitsche"', condition.where)
        return None, settled + [Imposed(c, component, value, fallback, why) for c, value in exact]
    return factor, settled + [Imposed(c, component, value, "exact", why) for c, value in exact]


def _enrichable(problem: Problem, condition: Condition) -> bool:
    """Return whether the enrich functions vanish on the part of a condition, so that it can be imposed exactly.

    Raises:
        InputError: they do not, and the condition asks to be imposed exactly.
    """
    kept = vanishes(problem, condition)
    if not kept and condition.impose == "exact":
        raise InputError(f'impose = "exact" cannot be met: {NOT_ZERO}; use "auto", "penalty" or "nitsche"', condition.where)
    return kept


def _factor(problem: Problem, exact: Sequence[tuple[Condition, Expr]], known: dict[int, Field]) -> tuple[Factor | None, str]:
    domain, x = problem.domain, problem.symbols.x
    prescribed = [(condition.on, value) for condition, value in exact]
    factor, why = None, "no smooth distance to this boundary"
    if any(extract_type(value, kind) for _, value in exact for kind in (FacetNormal, CellDiameter)):
        return None, "the boundary values depend on n or h, which a lift cannot follow into the domain"
    if isinstance(domain.shape, Box) and (missing := unliftable(domain.dimension, prescribed)):
        return None, missing
    if isinstance(domain.shape, Box):
        factor, why = on_box(domain.shape, x, prescribed), "transfinite lift on a box"
    elif isinstance(domain.shape, Disk):
        factor = on_disk(domain.shape, x, prescribed, domain)
        round_ = "circle" if domain.dimension == 2 else "sphere"
        why = f"the values vary along the {round_}" if factor is None else f"distance to a {round_}"
    elif domain.mesh is not None:
        straight = _polygons(domain.mesh, prescribed)
        if straight is not None and (domain.shape is not None or problem.formulation.pointwise):
            factor = on_polygon(straight, x)
            why = "the values vary along the segments" if factor is None else "distance to straight segments"
    if factor is None and domain.mesh is not None and not problem.formulation.pointwise:
        return _discrete(problem, prescribed, known)
    if factor is not None and not isinstance(domain.shape, Disk) and not _meets(problem, factor, exact):
        return None, "the boundary values disagree where two parts meet"
    return factor, why


def _polygons(domain: Mesh, prescribed: Sequence[tuple[tuple[str, ...], Expr]]) -> list[tuple[Polygon, Expr]] | None:
    if isinstance(domain.shape, Polygon) and len(prescribed) == 1:
        return [(domain.shape, prescribed[0][1])]
    pieces = [(polygon_of(domain, domain.facets(tags)), value) for tags, value in prescribed]
    return None if any(p is None for p, _ in pieces) else [(p, value) for p, value in pieces if p is not None]


def _meets(problem: Problem, factor: Factor, exact: Sequence[tuple[Condition, Expr]]) -> bool:
    """Return whether the lift equals the prescribed values at points of the boundary, within ``GAP``."""
    for condition, value in exact:
        facets = problem.domain.facets(condition.on)
        points = BoundaryPart(problem.domain, facets).on_each()
        lift, wanted = evaluate([factor.lift, value], points, Background(problem.domain))
        if not np.all(np.abs(lift - wanted) <= GAP * (1 + np.abs(wanted).max())):
            return False
    return True


def _discrete(
    problem: Problem, prescribed: Sequence[tuple[tuple[str, ...], Expr]], known: dict[int, Field]
) -> tuple[Factor | None, str]:
    """Return a torsion function as distance and a discrete harmonic lift on the mesh, and the reason; None if values disagree."""
    mesh = problem.domain.with_cells()
    affordable = (p for p in DEGREES if mesh.n_cells * functions_per_cell(mesh, p) <= FIELD_SIZE[mesh.dimension])
    space = LagrangeSpace(mesh, next(affordable, DEGREES[-1]))
    locations = space.locations()
    boundary, constrained = np.zeros(space.size), np.zeros(space.size, bool)
    for tags, value in prescribed:
        dofs = BoundaryPart.of(mesh, tags).functions(space)
        values = evaluate([value], bare_points(locations[dofs]), Background(mesh))[0]
        clash = constrained[dofs] & (np.abs(boundary[dofs] - values) > GAP * (1 + np.abs(values)))
        if clash.any():
            return None, "the boundary values disagree where two parts meet"
        boundary[dofs], constrained[dofs] = values, True
    fixed = np.flatnonzero(constrained)
    distance = problem.symbols.coefficient()
    known[distance.count()] = torsion(space, mesh.facets(tuple(t for tags, _ in prescribed for t in tags)))
    if not boundary.any():
        return Factor(distance, ufl.as_ufl(0.0)), "torsion function of the mesh"
    lift = problem.symbols.coefficient()
    known[lift.count()] = harmonic(space, fixed, boundary)
    return Factor(distance, lift), "torsion function and harmonic extension on the mesh"


__all__ = ["Imposed", "MeshField", "Trial", "make_trial"]

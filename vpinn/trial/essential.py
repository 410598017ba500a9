"""Essential conditions met exactly: u = L + D·N, with a lift L that takes the values and a distance D that vanishes there.

N is the network. A lift evaluates boundary values on the boundary only: inside the domain it uses the value of a face at the
projection of the point to that face. `on_box`, `on_disk` and `on_polygon` return distance and lift as UFL expressions;
`vpinn.trial.field` has those for meshes of any shape.

Sources: transfinite (Boolean sum) interpolation of Gordon & Hall (1973) on boxes; distance functions joined by
R-equivalence and transfinite weights of Sukumar & Srivastava (2022, doi 10.1016/j.cma.2021.114333) on polygons.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import ufl
from ufl.core.expr import Expr

from vpinn.domain import FINAL, INITIAL, BoundaryPart, Box, Disk, Domain, Hypercube, Points, Polygon, bare_points
from vpinn.errors import InputError
from vpinn.forms import Background, evaluate
from vpinn.forms.lowering import FOLDED, NotReal, lower
from vpinn.problem import Condition
from vpinn.problem.arithmetic import fold
from vpinn.problem.symbols import expanded

SIDES: Mapping[str, tuple[int, int]] = {
    name: (axis, side)
    for axis, names in enumerate((("left", "right"), ("bottom", "top"), ("back", "front")))
    for side, name in enumerate(names)
}
"""Tag of a box face → (axis, 0 for lower or 1 for upper)."""
MOST_LIFTED = 6
"""Most dimensions in which values that vary are lifted into a box: the transfinite lift has three times the terms with each."""
MOST_FACTORS = 30
"""Most dimensions in which the distances to the sides of a box are multiplied; with more, the product is nearly zero almost
everywhere, and its second derivatives take minutes to form."""
Asked: TypeAlias = Sequence[tuple[Condition, Expr]]
"""Conditions on one component, each with its scalar value."""


@dataclass(frozen=True)
class Factor:
    """Distance and lift of one component, as UFL expressions of the coordinates.

    Attributes:
        distance: D, zero where the component is prescribed and positive elsewhere.
        lift: L, equal to the prescribed values on the boundary.
    """

    distance: Expr
    lift: Expr


Prescribed = Sequence[tuple[tuple[str, ...], Expr]]
"""Conditions on one component: the boundary tags of each, and the scalar value there."""


def _at(expression: Expr, x: ufl.SpatialCoordinate, point: Sequence[Expr | float]) -> Expr:
    """Return a scalar expression of the coordinates evaluated at another point."""
    moved: Expr = ufl.replace(lower(expanded(expression)), {x: ufl.as_vector(list(point))})
    return moved


def face(tag: str, dimension: int) -> tuple[int, int]:
    """Return the axis and the side, 0 for lower or 1 for upper, of a face of a box.

    Args:
        tag: one of ``SIDES``, lowerK or upperK for axis K, or initial or final for the last axis, which is time.
        dimension: number of axes.

    Raises:
        InputError: no face has this tag.
    """
    if tag in SIDES:
        return SIDES[tag]
    if tag in (INITIAL, FINAL):
        return dimension - 1, int(tag == FINAL)
    for side, name in enumerate(("lower", "upper")):
        if tag.startswith(name) and tag[len(name) :].isdigit():
            return int(tag[len(name) :]), side
    raise InputError(f"'{tag}' names no face of the box")


def on_box(box: Box | Hypercube, x: ufl.SpatialCoordinate, conditions: Prescribed) -> Factor:
    """Return distance and lift on an axis-parallel box of any dimension, by transfinite interpolation.

    Args:
        box: the box.
        x: the coordinates.
        conditions: tags of faces and the values there.
    """
    lower_corner, upper_corner = np.asarray(box.lower, float), np.asarray(box.upper, float)
    dimension = len(lower_corner)
    values: dict[tuple[int, int], Expr] = {}
    for tags, value in conditions:
        for tag in tags:
            sides = [(axis, side) for axis in range(dimension) for side in (0, 1)] if tag == "all" else [face(tag, dimension)]
            values |= dict.fromkeys(sides, value)
    factors = [ufl.as_ufl(1.0)]
    lift: Expr = ufl.as_ufl(0.0)
    same = _constant(values.values())
    for axis in range(dimension):
        ends = [side for side in (0, 1) if (axis, side) in values]
        if not ends:
            continue
        a, b = float(lower_corner[axis]), float(upper_corner[axis])
        s = (x[axis] - a) * (1 / (b - a))
        ramps = {0: 1.0 - s, 1: s}
        factors.append(4.0 * s * (1.0 - s) if len(ends) == 2 else ramps[1 - ends[0]])
        if same is not None:
            continue
        correction: Expr = ufl.as_ufl(0.0)
        for side in ends:
            end = b if side else a
            point = [end if i == axis else x[i] for i in range(dimension)]
            gap = _at(values[axis, side] - lift, x, point)
            correction = correction + (ramps[side] * gap if len(ends) == 2 else gap)
        lift = lift + correction
    return Factor(fold(operator.mul, factors), lift if same is None else ufl.as_ufl(same))


def on_disk(disk: Disk, x: ufl.SpatialCoordinate, conditions: Prescribed, domain: Domain) -> Factor | None:
    """Return the distance (R² − r²)/(2R) and a constant lift on a disk or ball; None if the values vary along its boundary.

    Args:
        disk: the disk or ball, of radius R.
        x: the coordinates.
        conditions: tags of its boundary and the values there.
        domain: the domain, to evaluate the values on.
    """
    value = _constant(value for _, value in conditions)
    if value is None:
        values = evaluate([value for _, value in conditions], _around(disk, domain), Background(domain))
        value = float(values[0, 0])
        if not np.abs(values - value).max() <= 1e-12 * (1.0 + abs(value)):
            return None
    r2 = fold(operator.add, [(x[i] - float(c)) ** 2 for i, c in enumerate(disk.center)])
    return Factor((disk.radius**2 - r2) * (1 / (2 * disk.radius)), ufl.as_ufl(value))


def _around(disk: Disk, domain: Domain) -> Points:
    """Return points all over the boundary of a disk or ball, with their normals."""
    if domain.mesh is None:
        return BoundaryPart.of(domain).on_each()
    angle = np.linspace(0.0, 2.0 * np.pi, 97)
    normal = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return dataclasses.replace(bare_points(np.asarray(disk.center) + disk.radius * normal), normal=normal)


def on_polygon(pieces: Sequence[tuple[Polygon, Expr]], x: ufl.SpatialCoordinate) -> Factor | None:
    """Return distance and lift for prescribed constants on straight segments; None if a value varies along its segments.

    The distance to a segment is φ = √(f² + ¼(√(t² + f⁴) − t)²), with the distance f to its line and the trimming function t of
    the disk around it; it is smooth except at the end points. The distance to all segments is φ with 1/φ = Σ 1/φᵢ, and the lift
    is the mean of the constants with weights 1/φᵢ. Values that vary are refused, because they would be needed on the whole line
    of a segment, which at a re-entrant corner runs through the domain. Where t > 0, φ is written as |f|√(1 + …), so that its
    derivative on the segment is the inward normal instead of 0/0. At corners, where the mean is 0/0, the distance is set to zero
    and the lift to the value there.

    Args:
        pieces: segments and the value on them.
        x: the coordinates.
    """
    distances: list[Expr] = []
    values: list[float] = []
    for polygon, value in pieces:
        number = _constant([value])
        if number is None:
            return None
        for (ax, ay), (bx, by) in np.asarray(polygon.segments, float):
            length = math.hypot(bx - ax, by - ay)
            tx, ty = (bx - ax) / length, (by - ay) / length
            mx, my = (ax + bx) / 2, (ay + by) / 2
            f = (x[1] - my) * tx - (x[0] - mx) * ty
            t = (length**2 / 4 - (x[0] - mx) ** 2 - (x[1] - my) ** 2) * (1 / length)
            root = ufl.sqrt(t**2 + f**4)
            beside = ufl.conditional(ufl.ge(f, 0.0), f, -f) * ufl.sqrt(1.0 + (0.5 * f**3 / (root + t)) ** 2)
            distances.append(ufl.conditional(ufl.gt(t, 0.0), beside, ufl.sqrt(f**2 + 0.25 * (root - t) ** 2)))
            values.append(number)
    others = [_product(distances[:i] + distances[i + 1 :]) for i in range(len(distances))]
    total = sum(others)
    off_corners = ufl.gt(total, 0.0)
    distance = ufl.conditional(off_corners, _product(distances) / total, 0.0)
    same = _constant(value for _, value in pieces)
    if same is not None:
        return Factor(distance, ufl.as_ufl(same))
    weighted = sum(o * v for o, v in zip(others, values, strict=True)) / total
    here = [ufl.conditional(ufl.le(phi, 0.0), 1.0, 0.0) for phi in distances]
    at_corners = sum(h * v for h, v in zip(here, values, strict=True)) / ufl.max_value(sum(here), 1.0)
    return Factor(distance, ufl.conditional(off_corners, weighted, at_corners))


def _product(factors: Sequence[Expr]) -> Expr:
    result: Expr = ufl.as_ufl(1.0)
    for factor in factors:
        result = result * factor
    return result


def _constant(values: Iterable[Expr]) -> float | None:
    """Return the constant that all values are equal to; None if they differ or vary."""
    found = {float(v) if isinstance(v, ufl.classes.ScalarValue | ufl.classes.Zero) else None for v in map(lower, values)}
    return found.pop() if len(found) == 1 else None


def unliftable(dimension: int, prescribed: Prescribed) -> str:
    """Return why values on the sides of a box of many dimensions are not met exactly; "" if they can be."""
    if dimension > MOST_LIFTED and _constant(value for _, value in prescribed) is None:
        return f"a lift of values that vary has 3^{dimension} terms"
    if dimension > MOST_FACTORS:
        return f"the product of distances to the sides of {dimension} dimensions is nearly zero inside"
    return ""


def guarded(factor_of: Callable[[Asked], tuple[Factor | None, str]], prescribed: Asked) -> tuple[Factor | None, str]:
    """Return ``factor_of(prescribed)``, with an error that names the condition whose value is not real or not finite.

    Args:
        factor_of: function of conditions that returns distance and lift (None if there are none), and the reason.
        prescribed: the conditions.

    Raises:
        InputError: a value is not real or not finite where it is prescribed.
    """
    message = "the boundary value is not real and finite everywhere on this part of the boundary; change the value or the part"
    try:
        return factor_of(prescribed)
    except (NotReal, *FOLDED):
        for one in prescribed:
            try:
                factor_of([one])
            except (NotReal, *FOLDED):
                raise InputError(message, one[0].where) from None
        raise InputError(message, prescribed[0][0].where) from None

"""Empirical interpolation: terms of a form that are no sums of products become such sums, up to a small error.

A coefficient s(x; μ) is nearly a combination of few functions ψ_m(x), found from values of μ by a singular value decomposition.
The combination follows from the values of s at as many points, which pivots of a QR decomposition choose (Barrault et al., C. R.
Acad. Sci. Paris 339 (2004), 667–672; Chaturantabut & Sorensen, SIAM J. Sci. Comput. 32 (2010), 2737–2764; Drmač & Gugercin, SIAM
J. Sci. Comput. 38 (2016), A631–A648). The points are chosen quadrature points, a reduced data set for the numbers θ_m(μ).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import qr
from torch import Tensor

from vpinn.domain import Mesh, Points
from vpinn.families.terms import Rest
from vpinn.finite_elements import Assembler, MixedSpace, Rule, rule_degree
from vpinn.forms import Background, Parameter, Value
from vpinn.placement import host

Array = NDArray[np.float64]
SMALL = 1e-11
"""Singular values below this, relative to the largest, are dropped."""
SAMPLE = 48
"""Values of the parameters from which functions are found at first."""
DOUBLED = 3
"""Times that their number is doubled at most."""
ERROR = 1e-8
"""Error of the interpolation, relative to the largest value of the coefficient, up to which no more values are taken."""


def places(rest: Rest, points: Points, mesh: Mesh) -> Sequence[Value]:
    """Return what the coefficients of a rest need of n points, whatever the parameters: tensors [n] or numbers."""
    return rest.tape.fixed(Background(mesh).values(rest.tape.fixed_slots, points))


def tabulated(rest: Rest, values: Array, fixed: Sequence[Value], n: int) -> Array:
    """Return the coefficients of a rest at S values of the parameters [S, P] and n points: [S, outputs, n].

    Args:
        rest: the terms.
        values: values of the parameters.
        fixed: ``places`` of the points.
        n: number of points.
    """
    tape = rest.tape
    columns = torch.from_numpy(np.ascontiguousarray(values.T))[..., None]
    inputs = [columns[slot.index] for slot in tape.moving_slots if isinstance(slot, Parameter)]
    outputs = tape.moving([*fixed, *inputs])
    found = np.empty((len(values), len(outputs), n))
    for k, output in enumerate(outputs):
        found[:, k] = host(output) if isinstance(output, Tensor) else output
    return found


def rule_of(rest: Rest, mesh: Mesh, degree: int) -> Rule:
    """Return the quadrature points of a rest for elements of a degree."""
    return rest.region.of(mesh, rest.tags).on_cells(rule_degree(degree, mesh))


@dataclass(frozen=True, eq=False)
class Interpolated:
    """A rest as Σ_m θ_m(μ) ψ_m(x), M terms.

    Attributes:
        rest: what is interpolated.
        mesh: mesh of its coefficients.
        values: parameters [S, P] whose coefficients s(·; μ_i) are combined.
        shares: ψ_m = Σ_i shares[m, i] s(·; μ_i) [M, S].
        points: where s is taken, M chosen quadrature points.
        picks: number of the coefficient that is taken at each of these points [M].
        inverse: matrix that maps these values to θ [M, M].
        error: largest error at other values of the parameters, relative to the largest value of a coefficient.
    """

    rest: Rest
    mesh: Mesh
    values: Array
    shares: Array
    points: Points
    picks: NDArray[np.int64]
    inverse: Array
    error: float

    @classmethod
    def of(cls, rest: Rest, mesh: Mesh, degree: int, draw: Sequence[Array]) -> Interpolated:
        """Return the interpolation of a rest.

        Args:
            rest: what is interpolated.
            mesh: mesh of its coefficients.
            degree: degree of the elements whose quadrature points are used.
            draw: values of the parameters, and others to measure the error at [S, P] each.
        """
        rule = rule_of(rest, mesh, degree)
        points = rule.take(range(rule.size))
        values, fixed = draw[0], places(rest, points, mesh)
        seen = tabulated(rest, values, fixed, len(points))
        sizes = np.abs(seen).max(axis=(0, 2))  # coefficients have units of their own
        scaled = (seen / np.where(sizes > 0.0, sizes, 1.0)[:, None]).reshape(len(values), -1)
        left, singular, right = np.linalg.svd(scaled, full_matrices=False)
        kept = singular > SMALL * singular[0]
        shares = (left[:, kept] / singular[kept]).T
        pivots = qr(right[kept], mode="r", pivoting=True)[1][: kept.sum()]
        picks, numbers = np.divmod(pivots, len(points))
        chosen = points.rows(numbers)
        # θ belongs to ψ_m = Σ shares s, whose scaled values at the places are those of the rows of ``right``
        inverse = np.linalg.inv(right[kept][:, pivots].T) / sizes[picks]
        found = cls(rest, mesh, values, shares, chosen, picks, inverse, 0.0)
        others = tabulated(rest, draw[1], fixed, len(points))
        told = np.tensordot(found(draw[1]) @ shares, seen, 1)
        gaps = np.abs(told - others).max(axis=(0, 2)) / np.where(sizes > 0.0, sizes, 1.0)
        return cls(rest, mesh, values, shares, chosen, picks, inverse, float(gaps.max()))

    def __call__(self, values: Array) -> Array:
        """Return θ [S, M] for S values of the parameters [S, P]."""
        seen = tabulated(self.rest, values, self._fixed, len(self.picks))
        return np.asarray(seen[:, self.picks, np.arange(len(self.picks))] @ self.inverse.T)

    @cached_property
    def _fixed(self) -> Sequence[Value]:
        return places(self.rest, self.points, self.mesh)

    def assemblers(self, mixed: MixedSpace) -> list[Tabulated]:
        """Return the assemblers of the forms with coefficients ψ_m on elements."""
        rule = rule_of(self.rest, self.mesh, mixed.highest.degree)
        points = rule.take(range(rule.size))
        seen = tabulated(self.rest, self.values, places(self.rest, points, self.mesh), len(points))
        known = np.tensordot(self.shares, seen, 1)
        tests, slopes = self.rest.tests, self.rest.slopes
        starts = rule.take(range(0, rule.size, rule.per_entity)).entity
        return [Tabulated(mixed.highest, len(mixed.spaces), rule, tests, slopes, torch.from_numpy(one), starts) for one in known]

    def arrays(self) -> dict[str, Any]:
        """Return what ``restored`` takes, but for the rest."""
        own = {"inverse": self.inverse, "picks": self.picks, "values": self.values, "shares": self.shares}
        placed = {f"points.{one.name}": getattr(self.points, one.name) for one in fields(Points)}
        return own | {name: array for name, array in placed.items() if array is not None} | {"error": np.array(self.error)}

    @classmethod
    def restored(cls, rest: Rest, mesh: Mesh, arrays: Mapping[str, Any]) -> Interpolated:
        """Return the interpolation that arrays describe."""
        placed: dict[str, Any] = {one.name: arrays.get(f"points.{one.name}") for one in fields(Points)}
        known = {name: arrays[name] for name in ("values", "shares", "picks", "inverse")}
        return cls(rest=rest, mesh=mesh, points=Points(**placed), error=float(arrays["error"]), **known)


@dataclass(frozen=True)
class Tabulated(Assembler):
    """Assembles a form whose coefficients are given at the quadrature points.

    Attributes:
        known: coefficients of the test functions, then the derivatives of ``slopes`` [outputs, points].
        starts: entity of the first point of every entity of the rule, ascending.
    """

    known: Tensor
    starts: NDArray[np.int64]

    def outputs(self, points: Points, jets: Tensor | None, matrix: bool) -> Sequence[Value]:
        """Return the given coefficients at some points of the rule."""
        numbers = np.searchsorted(self.starts, points.entity) * self.points.per_entity + points.local
        return list(self.known[:, torch.from_numpy(numbers)])


def interpolate(rest: Rest, mesh: Mesh, degree: int, draw: Any) -> Interpolated:
    """Return the interpolation of a rest, from more and more values of the parameters until its error is small.

    Args:
        rest: what is interpolated.
        mesh: mesh of its coefficients.
        degree: degree of the elements whose quadrature points are used.
        draw: returns n values of the parameters [n, P].
    """
    count = SAMPLE
    others = draw(SAMPLE)
    for _ in range(DOUBLED):
        found = Interpolated.of(rest, mesh, degree, (draw(count), others))
        if found.error <= ERROR:
            break
        count *= 2
    return found

"""Halve the facets along smooth curves, with new nodes on the curve that the nodes of several facets lie on.

Cells of second order follow a curve by one parabola per facet. Its ends and its middle lie on the curve, but in between it is off
by a share of h⁴, and it has a kink where two of them meet. That error remains whatever the degree of the elements. The nodes of a
facet and its two neighbours determine the curve to h⁷, as a polynomial over the facet's chord. Boundaries and the interfaces
between groups of cells are such curves, in pieces that end where they turn sharply or change their curvature.

Source on the order of such maps: Lenoir, SIAM J. Numer. Anal. 23 (1986), 562–580. Start from `rounded`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.cut import Edges
from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats, Integers, lagrange

FLAT = 1e-6
"""Height of an arc over its chord, relative to the chord, up to which a facet is straight."""
KINK = 0.1
"""Angle between the parabolas of two facets, relative to that between their chords, up to which one curve runs through both."""
STEEP = 1.0
"""Angle in radians between the chords of two facets from which their curve is not known well enough."""
RATIO = 2.0
"""Ratio of the curvatures of two facets up to which one curve runs through both."""
FAR = 0.1
"""Largest distance from the parabola to the curve, relative to the arc's height: more is no correction of a parabola."""
AGREED = 0.3
"""Change of the curve without the nodes of one edge beyond, relative to its distance from the parabola, up to which it is known:
where the curvature jumps, the nodes on both sides do not agree."""
SEEN, INSIDE = 3e-7, 2e-8
"""Distance from the parabola to the curve, relative to the chord, up to which facets of the boundary and of interfaces are left.
Between a facet and an interface lies the wrong material, which is felt by the square root of that distance."""
APART = 1e-6
"""Difference in radians of the angles of two nodes up to which they determine no polynomial."""
QUARTERS = np.array([0.25, 0.75])
STEPS = 3
"""Newton steps by which the middle of a half is found; each doubles its digits."""
MOST = 2_000
"""Number of edges on curves above which the mesh is left as it is: facets are short then."""


def rounded(mesh: Mesh, times: int = 1) -> Mesh:
    """Return the mesh with facets along smooth curves halved; the mesh itself where no curve differs from its facets.

    Args:
        mesh: any; only triangles of second order have curves that are known well enough.
        times: how often facets are halved, ≥ 0.
    """
    for _ in range(times if (mesh.cell, mesh.order) == ("triangle", 2) else 0):
        curves = _Curves.of(mesh)
        few = range(len(curves.edges) if len(curves.edges) <= MOST else 0)
        moved = [(edge, *found) for edge in few if (found := curves.corrected(edge)) is not None]
        if not moved:
            break
        mesh = _halved(mesh, curves, *(np.array(part) for part in zip(*moved, strict=True)))
    return mesh


def _halved(mesh: Mesh, curves: _Curves, own: Integers, old: Floats, new: Floats) -> Mesh:
    """Return the mesh with some edges on curves halved [k], and the new middles moved from their old places [k, 2, 2]."""
    from scipy.spatial import KDTree

    every, shares = curves.all, np.full(len(curves.all.ends), np.nan)
    shares[curves.edges[own]] = 0.5
    fine = every.cut(shares)
    nodes = fine.nodes.copy()
    nodes[KDTree(nodes).query(old.reshape(-1, 2))[1]] = new.reshape(-1, 2)
    lines = every.nodes[every.ends[curves.edges[own]]]
    return replace(fine, nodes=nodes, bisected=(*mesh.bisected, lines))


@dataclass(frozen=True)
class _Curves:
    """Edges on the boundary, and on interfaces between groups of cells.

    Attributes:
        all: all edges of the mesh.
        edges: those on curves [m].
        kinds: numbers that are different on the boundary and on interfaces between other groups [m].
        points: first end, last end and middle of each [m, 3, 2].
    """

    all: Edges
    edges: Integers
    kinds: Integers
    points: Floats

    @classmethod
    def of(cls, mesh: Mesh) -> _Curves:
        every = Edges.of(mesh)
        groups = np.zeros((mesh.n_cells, len(mesh.cell_tags)), dtype=np.int64)
        for column, cells in zip(groups.T, mesh.cell_tags.values(), strict=True):
            column[cells] = 1
        group = 1 + np.unique(groups, axis=0, return_inverse=True)[1].ravel()
        low, high = (np.full(len(every.ends), fill) for fill in (group.max() + 1, 0))
        around = every.of_cells.ravel()
        np.minimum.at(low, around, np.repeat(group, 3))
        np.maximum.at(high, around, np.repeat(group, 3))
        low[np.bincount(around, minlength=len(low)) == 1] = 0  # on the boundary, whatever lies inside
        edges = np.flatnonzero(low != high)
        kinds = np.where(low[edges] == 0, 0, low[edges] * (group.max() + 1) + high[edges])
        reference = np.array(lagrange("triangle", 2).points)
        middles = [np.abs(reference - reference[pair].mean(axis=0)).sum(axis=1).argmin() for pair in every.pairs]
        middle = np.empty(len(every.ends), dtype=np.int64)
        middle[every.of_cells] = mesh.cells[:, middles]
        ends = mesh.nodes[every.nodes[every.ends[edges]]]
        return cls(every, edges, kinds, np.concatenate([ends, mesh.nodes[middle[edges]][:, None]], axis=1))

    @cached_property
    def chord(self) -> Floats:
        """From the first end to the last [m, 2]."""
        return self.points[:, 1] - self.points[:, 0]

    @cached_property
    def length(self) -> Floats:
        """Length of the chord [m]."""
        return np.asarray(np.linalg.norm(self.chord, axis=1))

    @cached_property
    def height(self) -> Floats:
        """Signed height of the arc over its chord, relative to that, as seen from the first end [m]."""
        return np.asarray(_cross(self.chord, self.points[:, 2] - self.points[:, 0]) / self.length**2)

    @cached_property
    def at(self) -> dict[tuple[int, int], list[int]]:
        """Vertex and kind → edges there."""
        found: dict[tuple[int, int], list[int]] = {}
        for number, (edge, kind) in enumerate(zip(self.edges, self.kinds, strict=True)):
            for vertex in self.all.ends[edge]:
                found.setdefault((int(vertex), int(kind)), []).append(number)
        return found

    def corrected(self, edge: int) -> tuple[Floats, Floats] | None:
        """Return points of an edge's parabola at a quarter and three quarters [2, 2], and the middles of halves of the curve.

        The curve is the circle through the edge's nodes, whose radius changes with the angle as a polynomial through the nodes
        beyond its ends. None where it is as close to the parabola as it needs to be, or not known.
        """
        if abs(self.height[edge]) <= FLAT or not (beyond := self._beyond(edge)):
            return None
        first, last, middle = self.points[edge]
        centre, radius, turn = _circle(first, middle, last)
        t = QUARTERS[:, None]
        old = first * (1 - t) * (1 - 2 * t) + middle * 4 * t * (1 - t) + last * t * (2 * t - 1)
        # complex numbers, seen from the centre with the middle at angle zero
        placed = ((np.array([first, middle, last, *beyond, *old]) - centre) @ [1, 1j]) * turn
        nodes, parabola = placed[:-2], placed[-2:]
        if np.diff(np.sort(np.angle(nodes))).min() <= APART:
            return None
        powers, found = _fitted(nodes, radius), np.angle(parabola)
        values = np.polyval(powers, found)
        off = np.abs(np.abs(parabola) - radius - values).max() / self.length[edge]
        fewer = (np.delete(nodes, [k, k + 1]) for k in range(3, len(nodes), 2))  # without one of the edges beyond
        gap = max(np.abs(np.polyval(_fitted(some, radius), found) - values).max() for some in fewer) / self.length[edge]
        if not (INSIDE if self.kinds[edge] else SEEN) < off <= FAR * abs(self.height[edge]) or gap > AGREED * off:
            return None
        ends, angle = nodes[:3], found
        half, level = np.diff(ends), np.diff(np.abs(ends) ** 2) / 2
        for _ in range(STEPS):  # to the point of the curve with the same distance from both ends of its half
            spoke, place = np.exp(1j * angle), radius + np.polyval(powers, angle)
            slope = (np.polyval(np.polyder(powers), angle) + 1j * place) * spoke
            angle -= ((place * spoke * half.conj()).real - level) / (slope * half.conj()).real
        new = (radius + np.polyval(powers, angle)) * np.exp(1j * angle) / turn
        return old, centre + np.stack([new.real, new.imag], axis=1)

    def _beyond(self, edge: int) -> list[Floats]:
        """Return middles and far ends of the edges beyond both ends of an edge, or of two beyond one end of the curve."""
        beyond = [[*self._onwards(edge, end, 1)] for end in (0, 1)]
        if not all(beyond):
            beyond = [[*self._onwards(edge, end, 2)] for end in (0, 1)]
        return beyond[0] + beyond[1]

    def _onwards(self, edge: int, end: int, count: int) -> Iterator[Floats]:
        """Yield middle and far end of each of some edges that follow beyond an end, 0 or 1, as far as one curve goes."""
        while count and (found := self._next(edge, end)) is not None:
            edge, end = found
            count -= 1
            yield from (self.points[edge, 2], self.points[edge, end])

    def _next(self, edge: int, end: int) -> tuple[int, int] | None:
        """Return the edge beyond an end, 0 or 1, and its far end; None unless one curve runs through both."""
        vertex = int(self.all.ends[self.edges[edge], end])
        others = [other for other in self.at[vertex, int(self.kinds[edge])] if other != edge]
        if len(others) != 1:
            return None
        other = others[0]
        far = int(self.all.ends[self.edges[other], 0] == vertex)
        (back, common, here), (there, onwards) = self.points[edge, [1 - end, end, 2]], self.points[other, [2, far]]
        turned = (1 if end else -1) * (1 if far else -1)
        least, most = sorted((self.height[edge] / self.length[edge], turned * self.height[other] / self.length[other]), key=abs)
        if not least * most > 0.0 or abs(most) > RATIO * abs(least):
            return None
        turn = abs(_angle(common - back, onwards - common))
        kink = abs(_angle(3 * common + back - 4 * here, 4 * there - 3 * common - onwards))
        return (other, far) if turn < STEEP and kink <= KINK * turn else None


def _fitted(nodes: NDArray[Any], radius: float) -> Floats:
    """Return the polynomial in the angle of points [n] that their distances from the centre follow, minus a radius [n]."""
    return np.asarray(np.linalg.solve(np.vander(np.angle(nodes)), np.abs(nodes) - radius))


def _circle(first: Floats, middle: Floats, last: Floats) -> tuple[Floats, float, complex]:
    """Return centre and radius of the circle through three points, and the rotation that takes the second one to angle zero."""
    one, other = first - middle, last - middle
    squares = np.array([one @ one, other @ other])
    to_centre = np.linalg.solve(2.0 * np.array([one, other]), squares)
    radius = float(np.linalg.norm(to_centre))
    return middle + to_centre, radius, complex(-to_centre[0], to_centre[1]) / radius


def _cross(one: Floats, other: Floats) -> Floats:
    return np.asarray(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])


def _angle(one: Floats, other: Floats) -> float:
    """Return the angle from one direction to another, −π to π."""
    return float(np.arctan2(_cross(one, other), one @ other))

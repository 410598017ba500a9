"""One contract for every kind of region on every kind of domain: a further one gets these tests by being listed in ``CASES``.

The domains are boxes, on which integrals of monomials over the inside and over every side are known in closed form.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import pytest
import ufl

from vpinn.domain import REGIONS, BoundaryPart, Domain, Hypercube, Inside, LagrangeSpace, Mesh, PointSet, Region, located_points
from vpinn.errors import InputError
from vpinn.sampling import NOTHING, make_sampler

from .meshes import SHAPED, shifted

DRAWS = 200
RULES = {True: ("gauss", "stochastic-gauss", "monte-carlo", "sobol"), False: ("monte-carlo", "sobol")}
"""Whether there are cells → rules."""


def with_parts(mesh: Mesh) -> Mesh:
    """The mesh with two groups of cells that overlap nowhere."""
    right = mesh.nodes[mesh.vertices].mean(axis=1)[:, 0] > np.mean(mesh.bounds, axis=0)[0]
    return replace(mesh, cell_tags={"east": np.flatnonzero(right), "west": np.flatnonzero(~right)})


DOMAINS: dict[str, Callable[[], Domain]] = {
    **{name: lambda make=make: with_parts(make()) for name, make in SHAPED.items() if name not in ("disk", "l-shape")},
    "1-cube": lambda: Hypercube((-1.0,), (2.0,)),
    "2-cube": lambda: Hypercube((0.0, -1.0), (2.0, 1.0)),
    "5-cube": lambda: Hypercube((0.0, 1.0, -2.0, 0.5, -1.0), (2.0, 1.5, 0.0, 1.5, 1.0)),
}


@dataclass(frozen=True)
class Case:
    """A region: a kind on a domain, with the tags that it carries."""

    kind: type[Region]
    domain: str
    tags: tuple[str, ...]

    def make(self) -> Region:
        return self.kind.of(DOMAINS[self.domain](), self.tags)


def integral(region: Region, powers: tuple[int, ...]) -> float:
    """∫ Π x_k^powers_k over a region of a box, in closed form."""
    lower, upper = region.domain.bounds
    along = [(b ** (p + 1) - a ** (p + 1)) / (p + 1) for a, b, p in zip(lower, upper, powers, strict=True)]
    if isinstance(region, Inside):
        return prod(along)
    sides = ends(region)
    return sum(prod(along[:k] + along[k + 1 :]) * (lower, upper)[end][k] ** powers[k] for k, end in sides)


def ends(region: Region) -> list[tuple[int, int]]:
    """(direction, 0 for its lower or 1 for its upper end) of the sides of a box that a boundary part consists of."""
    sides = list(itertools.product(range(region.domain.dimension), (0, 1)))
    names = list(region.domain.facet_tags)
    tags = PARTS[region.domain.dimension]
    return sides if tags == ("all",) or whole(region) else [sides[names.index(name)] for name in tags]


def whole(region: Region) -> bool:
    assert isinstance(region, BoundaryPart)
    return len(region.facets) == len(region.domain.facets("all"))


PARTS = {1: ("right",), 2: ("left", "top"), 3: ("left", "top", "back"), 5: ("left", "top", "upper3")}
"""Number of coordinates → some sides."""
CASES = [
    *(Case(Inside, domain, ("all",)) for domain in DOMAINS),
    *(Case(BoundaryPart, domain, ("all",)) for domain in DOMAINS),
    *(Case(BoundaryPart, domain, PARTS[make().dimension]) for domain, make in DOMAINS.items()),
]
every = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind.name} {','.join(case.tags)} of {case.domain}")


def point_sets(region: Region, seed: int = 0) -> list[PointSet]:
    return [region.points(3, 40, rule, seed) for rule in RULES[region.domain.mesh is not None]]


def summed(region: Region, points: PointSet, powers: tuple[int, ...]) -> float:
    taken = points.take(range(points.size))
    return float(taken.w @ np.prod(taken.x ** np.array(powers), axis=1))


def monomials(dimension: int, degree: int) -> list[tuple[int, ...]]:
    return [powers for powers in itertools.product(range(degree + 1), repeat=dimension) if sum(powers) <= degree]


def test_every_kind_of_region_is_listed_and_is_one_of_ufl() -> None:
    assert {case.kind for case in CASES} == set(REGIONS)
    for field in ("integral_type", "symbol", "entity", "name", "place"):
        assert len({getattr(kind, field) for kind in REGIONS}) == len(REGIONS)
    for kind in REGIONS:
        assert ufl.Measure(kind.symbol).integral_type() == kind.integral_type


@every
def test_points_lie_in_the_region(case: Case) -> None:
    region = case.make()
    lower, upper = region.domain.bounds
    for points in point_sets(region):
        taken = points.take(range(points.size))
        assert located_points(region.domain, taken.x)[1].all()
        if isinstance(region, Inside):
            assert taken.normal is None
            assert not points.on_facets
            assert ((lower <= taken.x) & (taken.x <= upper)).all()
            continue
        assert taken.normal is not None
        assert points.on_facets
        np.testing.assert_allclose(np.linalg.norm(taken.normal, axis=1), 1.0, atol=1e-14)
        on = [np.isclose(taken.x[:, k], (lower, upper)[end][k], rtol=0, atol=1e-12) for k, end in ends(region)]
        assert np.any(on, axis=0).all()
        out = 1e-6 * taken.h[:, None] * taken.normal
        assert not located_points(region.domain, taken.x + out)[1].any()
        assert located_points(region.domain, taken.x - out)[1].all()


@every
def test_weights_sum_to_the_measure(case: Case) -> None:
    region = case.make()
    exact = integral(region, (0,) * region.domain.dimension)
    for points, rule in zip(point_sets(region), RULES[region.domain.mesh is not None], strict=True):
        taken = points.take(range(points.size))
        assert len(taken) == points.size == points.entities * points.per_entity
        assert abs(taken.w.sum() - exact) <= 1e-13 * exact
        assert abs(points.entity_volumes.sum() - exact) <= 1e-13 * exact
        assert rule == "stochastic-gauss" or (taken.w > 0.0).all()


@every
@pytest.mark.parametrize("refine", [0, 1])
def test_gauss_rules_are_exact_for_polynomials(case: Case, refine: int) -> None:
    region = case.make()
    if region.domain.mesh is None:
        with pytest.raises(InputError, match=r"^this takes the cells of a mesh, .* use a rectangle, a box or a mesh file$"):
            region.on_cells(3, refine=refine)
        return
    for degree in (0, 1, 4):
        for powers in monomials(region.domain.dimension, degree):
            exact = integral(region, powers)
            assert abs(summed(region, region.on_cells(degree, refine=refine), powers) - exact) <= 1e-13 * (1.0 + abs(exact))
            assert abs(summed(region, region.points(degree, refine=refine), powers) - exact) <= 1e-13 * (1.0 + abs(exact))


@every
def test_random_rules_are_unbiased(case: Case) -> None:
    """Both from seed to seed and where points of one set are drawn anew: within four standard errors of the integral."""
    region = case.make()
    powers = tuple(np.arange(region.domain.dimension) % 2 + 1)
    exact = integral(region, powers)
    for rule in RULES[region.domain.mesh is not None]:
        if rule == "gauss":
            continue
        sets = [region.points(1, 20, rule, seed) for seed in range(40)]
        found = {"seeds": [summed(region, points, powers) for points in sets], "anew": []}
        for fresh in range(40):
            taken = sets[0].take(range(sets[0].size), fresh)
            found["anew"].append(float(taken.w @ np.prod(taken.x ** np.array(powers), axis=1)))
        for values in found.values():
            error = np.std(values, ddof=1) / np.sqrt(len(values))
            assert abs(np.mean(values) - exact) <= 4.0 * error + 1e-12 * (1.0 + abs(exact))


@every
def test_chunks_cover_all_points(case: Case) -> None:
    region = case.make()
    for points in point_sets(region):
        whole = points.take(range(points.size))
        for most in (1, 7, 1_000, 10**6):
            chunks = list(points.chunks(most))
            assert all(len(chunk) <= most for chunk in chunks)
            np.testing.assert_array_equal(np.concatenate(chunks), np.arange(points.size))
            if len(chunks) < 20:
                parts = [points.take(chunk) for chunk in chunks]
                np.testing.assert_array_equal(np.concatenate([part.x for part in parts]), whole.x)
                np.testing.assert_array_equal(np.concatenate([part.w for part in parts]), whole.w)


@every
@pytest.mark.parametrize("name", ["uniform", "stratified", "sobol", "importance", "cells", "antithetic"])
def test_drawn_points_are_unbiased(case: Case, name: str) -> None:
    """The scaled sums of batches of a sampler have the sum over all points as their mean."""
    region = case.make()
    points = region.points(3, 40)
    taken = points.take(range(points.size))
    terms = taken.w * (1.0 + taken.x.sum(axis=1) ** 2)
    if points.mesh is None and name in ("cells", "antithetic"):
        with pytest.raises(InputError, match=f'^sampler "{name}" needs the cells of a mesh; use "sobol" or "uniform"'):
            make_sampler(name, points, 8)
        return
    sampler = make_sampler(name, points, min(max(8, points.per_entity), points.size) if points.mesh else 8)
    generator = np.random.default_rng(5)
    sums = []
    for _ in range(DRAWS):
        index, scale = sampler.draw(generator, NOTHING)
        sums.append(float(scale @ terms[index]))
    error = np.std(sums, ddof=1) / np.sqrt(DRAWS)
    assert abs(np.mean(sums) - terms.sum()) <= 4.0 * error + 1e-12 * abs(terms.sum())


@every
@pytest.mark.parametrize("degree", [1, 3])
def test_test_functions_vanish_where_they_must(case: Case, degree: int) -> None:
    """Those that a region does not name are zero at its points; each that it names is not."""
    region = case.make()
    mesh = region.domain.mesh
    if mesh is None:
        return
    space = LagrangeSpace(mesh, degree)
    seen = region.functions(space)
    assert (np.diff(seen) > 0).all()
    points = region.points(2 * degree)
    taken = points.take(range(points.size))
    values = abs(space.values_at(taken.cell, taken.reference)).max(axis=0).toarray().ravel()
    assert (values[seen] > 1e-3).all()
    np.testing.assert_allclose(np.delete(values, seen), 0.0, atol=1e-13)


@every
def test_a_rule_knows_its_place_in_cells(case: Case) -> None:
    """Its table of reference points holds those of every point; entities are found from the cells that they belong to."""
    region = case.make()
    mesh = region.domain.mesh
    if mesh is None:
        np.testing.assert_array_equal(region.points(1, 40).entities_in(np.array([0])), [0])
        return
    points = region.on_cells(4)
    taken = points.take(range(points.size))
    np.testing.assert_array_equal(points.placed_in_cell[points.facet_of(taken), taken.local], taken.reference)
    some = np.arange(0, mesh.n_cells, 3)
    owned = np.unique(np.repeat(np.arange(points.entities), points.per_entity)[np.isin(taken.cell, some)])
    np.testing.assert_array_equal(points.entities_in(some), owned)


@every
def test_tags_tell_the_parts(case: Case) -> None:
    region = case.make()
    taken = region.points(2, 500).take(range(region.points(2, 500).size))
    tags = region.domain.cell_tags if isinstance(region, Inside) else region.domain.facet_tags
    marks = {tag: region.holds(region.domain, tag, taken) for tag in tags}
    if not tags:
        return
    np.testing.assert_array_equal(np.sum(list(marks.values()), axis=0), 1)
    for tag, mark in marks.items():
        if isinstance(region, Inside):
            part = CellVolumes.of(region.domain, tag)
        else:
            part = BoundaryPart.of(region.domain, (tag,)).points(0).volume if mark.any() else 0.0
        assert abs(taken.w[mark].sum() - part) <= 1e-12 * taken.w.sum()
    points = region.points(2, 500)
    for tag, entities in points.tagged.items():
        np.testing.assert_array_equal(np.repeat(entities, points.per_entity), marks[tag])


class CellVolumes:
    """Volume of tagged cells from their corners: every cell of these meshes is a simplex or an axis-parallel box."""

    @staticmethod
    def of(domain: Domain, tag: str) -> float:
        mesh = domain.with_cells()
        corners = mesh.nodes[mesh.vertices[mesh.cell_tags[tag]]]
        if mesh.reference.simplex:
            edges = corners[:, 1:] - corners[:, :1]
            return float(np.abs(np.linalg.det(edges)).sum() / prod(range(1, mesh.dimension + 1)))
        return float(np.ptp(corners, axis=1).prod(axis=1).sum())


@every
def test_a_look_sees_points_all_over(case: Case) -> None:
    region = case.make()
    for count in (1, 10, 30):
        found, most = region.spread(count), region.points(2, count).size
        assert min(count, most) <= len(found) <= min(2 * count, most)
    low, high = found.x.min(axis=0), found.x.max(axis=0)
    lower, upper = region.domain.bounds
    if isinstance(region, Inside) or whole(region):
        assert (low <= lower + 0.35 * (upper - lower)).all()
        assert (high >= upper - 0.35 * (upper - lower)).all()


@every
def test_questions_about_cells_have_one_answer(case: Case) -> None:
    domain = case.make().domain
    points = case.make().points(2, 40)
    assert (domain.mesh is None) == (domain.n_cells == 0) == (points.mesh is None) == (points.centers is None)
    assert domain.h.shape == (max(1, domain.n_cells),)
    assert domain.aspect.shape == (domain.dimension,)
    assert abs(prod(domain.aspect) - 1.0) <= 1e-12
    if domain.mesh is None:
        with pytest.raises(InputError, match=r"^file.toml:3: no cells here$"):
            domain.with_cells("no cells here", "file.toml:3")
    else:
        assert domain.with_cells("no cells here") is domain
        assert points.centers is not None
        assert points.centers.shape == (points.entities, domain.dimension)


def test_facets_of_a_skewed_mesh_face_outwards() -> None:
    region = BoundaryPart.of(shifted(SHAPED["tetrahedra"]()))
    taken = region.on_each()
    out = 1e-6 * taken.h[:, None] * taken.normal
    assert set(taken.entity) == set(region.facets)
    assert not located_points(region.domain, taken.x + out)[1].any()


def test_a_tag_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match="the boundary tag 'east' does not exist"):
        BoundaryPart.of(DOMAINS["triangles"](), ("east",))

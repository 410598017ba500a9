from __future__ import annotations

from math import comb

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, LagrangeSpace, Mesh, box, disk, interval, rectangle
from vpinn.errors import InputError

from .meshes import SHAPED, curved, rotated_cells, shifted

FIVE = ("interval", "triangles", "quadrilaterals", "tetrahedra", "hexahedra")


def count_entities(mesh: Mesh, size: int, edges: list) -> int:
    return len({tuple(sorted(cell[list(edge)])) for cell in mesh.vertices for edge in edges})


def expected_size(mesh: Mesh, degree: int) -> int:
    """Return the number of functions: vertices, edges, faces and cells times the interior nodes of each."""
    k = degree - 1
    corners = mesh.reference.vertices
    vertices = len(np.unique(mesh.vertices))
    facets = mesh.reference.facets.tolist()
    if mesh.dimension == 1:
        return vertices + k * mesh.n_cells
    simplex = mesh.reference.simplex
    face_inner = comb(k, 2) if simplex else k**2
    if mesh.dimension == 2:
        return vertices + k * count_entities(mesh, 2, facets) + face_inner * mesh.n_cells
    pairs = [(a, b) for a in range(len(corners)) for b in range(a) if simplex or np.abs(corners[a] - corners[b]).sum() == 1]
    inner = comb(k, 3) if simplex else k**3
    return vertices + k * count_entities(mesh, 2, pairs) + face_inner * count_entities(mesh, 3, facets) + inner * mesh.n_cells


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("name", FIVE)
def test_dimension_of_the_space(name: str, degree: int):
    for mesh in (SHAPED[name](), curved(SHAPED[name]())):
        space = LagrangeSpace(mesh, degree)
        assert space.size == expected_size(mesh, degree)
        assert np.array_equal(np.unique(space.dofs), np.arange(space.size))


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("name", FIVE)
def test_cells_agree_on_the_place_of_shared_nodes(name: str, degree: int):
    for mesh in (shifted(SHAPED[name]()), curved(SHAPED[name]()), shifted(curved(SHAPED[name]()), 0.01)):
        space = LagrangeSpace(mesh, degree)
        local = mesh.frames(np.arange(mesh.n_cells), space.reference_nodes).x
        assert np.abs(space.locations()[space.dofs] - local).max() < 1e-13


@pytest.mark.parametrize("degree", [3, 4])
@pytest.mark.parametrize("name", ["triangles", "tetrahedra"])
def test_cells_with_unsorted_vertices_agree_too(name: str, degree: int):
    mesh = rotated_cells(SHAPED[name]())
    space = LagrangeSpace(mesh, degree)
    assert space.size == expected_size(mesh, degree)
    local = mesh.frames(np.arange(mesh.n_cells), space.reference_nodes).x
    assert np.abs(space.locations()[space.dofs] - local).max() < 1e-13


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
@pytest.mark.parametrize("name", FIVE)
def test_polynomials_are_interpolated_exactly_with_their_gradients(name: str, degree: int):
    mesh = shifted(SHAPED[name](), 0.03) if name not in ("quadrilaterals", "hexahedra") else SHAPED[name]()
    space = LagrangeSpace(mesh, degree)
    direction = np.array([0.7, -0.4, 0.5])[: mesh.dimension]
    coefficients = (space.locations() @ direction + 0.2) ** degree
    points = CellPoints(mesh, 3)
    some = points.take(range(points.size))
    value = space.evaluate(coefficients, some.cell, some.reference)
    np.testing.assert_allclose(value, (some.x @ direction + 0.2) ** degree, atol=1e-12)
    values, gradients = space.functions(some.cell, some.reference)
    gradient = np.einsum("ndj,nj->nd", gradients, coefficients[space.dofs[some.cell]])
    np.testing.assert_allclose(gradient, degree * (some.x @ direction + 0.2)[:, None] ** (degree - 1) * direction, atol=2e-11)
    np.testing.assert_allclose(values.sum(axis=1), 1.0, atol=1e-13)
    np.testing.assert_allclose(gradients.sum(axis=2), 0.0, atol=1e-11)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
@pytest.mark.parametrize("name", [*FIVE, "disk", "l-shape"])
def test_stiffness_and_mass(name: str, degree: int):
    mesh = SHAPED[name]()
    space = LagrangeSpace(mesh, degree)
    volume = CellPoints(mesh, 6).volume
    stiffness, mass = space.stiffness(), space.mass()
    ones = np.ones(space.size)
    assert np.abs(stiffness @ ones).max() < 1e-11
    assert abs(ones @ (mass @ ones) - volume) < 1e-12 * volume
    assert abs(stiffness - stiffness.T).max() < 1e-12
    assert abs(space.gram() - stiffness - mass).max() < 1e-13
    if not (mesh.order == 2 and degree == 1):  # first-order elements on curved cells do not contain linear functions
        linear = space.locations()[:, 0]
        assert abs(linear @ (stiffness @ linear) - volume) < 1e-11 * volume


@pytest.mark.parametrize("name", FIVE)
def test_gram_matrices_of_skewed_and_curved_cells(name: str):
    affine = SHAPED[name]()
    assert affine.affine
    for mesh in (shifted(affine), curved(affine)):
        assert mesh.affine == (mesh.order == 1 and mesh.reference.simplex)
        space = LagrangeSpace(mesh, 2)
        points = CellPoints(mesh, 12)
        some = points.take(range(points.size))
        u = np.cos(np.arange(space.size))
        values, gradients = space.functions(some.cell, some.reference)
        slope = np.einsum("ndj,nj->nd", gradients, u[space.dofs[some.cell]])
        energy = (some.w * (slope**2).sum(axis=1)).sum()
        square = (some.w * np.einsum("nj,nj->n", values, u[space.dofs[some.cell]]) ** 2).sum()
        assert abs(u @ (space.mass() @ u) - square) < 1e-12 * square
        assert abs(u @ (space.stiffness() @ u) - energy) < (1e-3 if mesh.order == 2 else 1e-6) * energy  # rational integrands


@pytest.mark.parametrize("name", [*FIVE, "disk"])
def test_boundary_functions_are_those_that_do_not_vanish_there(name: str):
    mesh = SHAPED[name]()
    space = LagrangeSpace(mesh, 3)
    tags = mesh.tags[:1]
    points = FacetPoints(mesh, mesh.facets(tags), 8)
    edge = points.take(range(points.size))
    values, _ = space.functions(edge.cell, edge.reference)
    alive = np.unique(space.dofs[edge.cell][np.abs(values) > 1e-10])
    assert np.array_equal(space.boundary_dofs(mesh.facets(tags)), alive)


ORDERS = {
    "interval": lambda n: interval(0.0, 1.0, 4 * n),
    "triangle": lambda n: shifted(rectangle(cells=2 * n), 0.0),
    "quadrilateral": lambda n: rectangle(cells=2 * n, cell="quadrilateral"),
    "tetrahedron": lambda n: box(cells=n),
    "hexahedron": lambda n: box(cells=n, cell="hexahedron"),
    "disk": lambda n: disk(cells=2 * n),
}


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ORDERS)
def test_interpolation_converges_at_degree_plus_one(name: str, degree: int):
    errors = []
    three = name in ("tetrahedron", "hexahedron")
    for n in (4, 8) if three and degree < 4 else (2, 4) if three else (8, 16):
        mesh = ORDERS[name](n)
        space = LagrangeSpace(mesh, degree)
        points = CellPoints(mesh, 2 * degree + 2)
        total = 0.0
        for chunk in points.chunks(200_000):
            some = points.take(chunk)
            value = space.evaluate(np.sin(space.locations().sum(axis=1) + 0.3), some.cell, some.reference)
            total += (some.w * (value - np.sin(some.x.sum(axis=1) + 0.3)) ** 2).sum()
        errors.append(np.sqrt(total))
    assert abs(np.log2(errors[0] / errors[1]) - (degree + 1)) < 0.1
    assert errors[1] < 2.0 * 16.0 ** -(degree + 1) * (30.0 if three else 10.0)


def test_degrees_out_of_range_are_refused():
    with pytest.raises(InputError, match="1 to 30"):
        LagrangeSpace(interval(), 0)


@pytest.mark.parametrize("kind", SHAPED)
def test_jets_of_functions(kind: str) -> None:
    """Values and gradients of coefficients are those of the local functions, at points of a rule and at scattered ones."""
    mesh = SHAPED[kind]()
    space = LagrangeSpace(mesh, 3)
    coefficients = np.cos(np.arange(2.0 * space.size) ** 2).reshape(2, -1)
    points = CellPoints(mesh, 4)
    for some in (points.take(range(points.size)), points.take(np.arange(0, points.size, 3)), points.take(np.array([0]))):
        found = space.jets(coefficients, some.cell, some.reference, 1)
        values, gradients = space.functions(some.cell, some.reference)
        local = coefficients[:, space.dofs[some.cell]]
        np.testing.assert_allclose(found[..., 0], np.einsum("pj,kpj->kp", values, local), atol=1e-12)
        np.testing.assert_allclose(found[..., 1:], np.einsum("pij,kpj->kpi", gradients, local), atol=1e-10)
        np.testing.assert_allclose(space.jets(coefficients, some.cell, some.reference, 0), found[..., :1], atol=1e-13)

"""Meshes for the tests of this folder."""

from __future__ import annotations

import numpy as np

from vpinn.domain import LagrangeSpace, Mesh, box, disk, interval, l_shape, make_mesh, rectangle

SHAPED = {
    "interval": lambda: interval(-1.0, 2.0, 5),
    "triangles": lambda: rectangle((0.0, -1.0), (2.0, 1.0), [3, 4]),
    "quadrilaterals": lambda: rectangle((0.0, -1.0), (2.0, 1.0), [3, 4], "quadrilateral"),
    "tetrahedra": lambda: box((0.0, 0.0, -1.0), (1.0, 2.0, 1.0), [2, 3, 2]),
    "hexahedra": lambda: box((0.0, 0.0, -1.0), (1.0, 2.0, 1.0), [2, 3, 2], "hexahedron"),
    "disk": lambda: disk((0.5, -0.25), 1.5, 4),
    "l-shape": lambda: l_shape(3),
}


def shifted(mesh: Mesh, size: float = 0.03, seed: int = 1) -> Mesh:
    """Return a mesh with nodes moved at random and cells shuffled and renumbered, without any symmetry."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(mesh.nodes))
    place = np.argsort(order)
    nodes = (mesh.nodes + size * generator.uniform(-1.0, 1.0, mesh.nodes.shape))[order]
    return make_mesh(nodes, place[mesh.cells][generator.permutation(mesh.n_cells)], mesh.cell, mesh.order)


def rotated_cells(mesh: Mesh, seed: int = 1) -> Mesh:
    """Return a mesh with the vertices of each simplex permuted at random; ``make_mesh`` restores the orientation."""
    generator = np.random.default_rng(seed)
    return make_mesh(mesh.nodes, generator.permuted(mesh.cells, axis=1), mesh.cell)


def curved(mesh: Mesh, size: float = 0.05) -> Mesh:
    """Return a second-order version of a mesh, bent by a smooth map."""
    space = LagrangeSpace(mesh, 2)
    x = space.locations()
    bend = np.sin(2.0 * np.roll(x, 1, axis=1) + 0.3)
    return make_mesh(x + size * bend, space.dofs, mesh.cell, 2)

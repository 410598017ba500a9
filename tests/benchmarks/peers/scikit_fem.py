"""Measure error against time of scikit-fem on the problems of ``error_against_time.py``: triangles, its own solvers.

Prints one JSON line like ``error_own.py``. Solving is basis, assembly, boundary conditions and solution; meshing is set-up. The
plate's triangles are curved on the circles by ``MeshTri2``. This script imports scikit-fem and no vpinn.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import skfem
from numpy.typing import NDArray
from skfem.helpers import dot, grad

sys.path.insert(0, str(Path(__file__).parents[1]))
from error_problems import l_shape_solution, measuring_points, onto_circles, plate_grid, triangles

Array = NDArray[np.float64]
ELEMENTS = {1: skfem.ElementTriP1, 2: skfem.ElementTriP2, 3: skfem.ElementTriP3, 4: skfem.ElementTriP4}
LARGEST = 200_000
"""Degrees of freedom beyond which no mesh is tried."""


def mesh_of(name: str, n: int) -> tuple[Any, Any]:
    """Return triangles, n cells per side, per unit length, or along each side of a hole, and the same with straight edges."""
    if name == "plate":
        vertices, quads, _, _ = plate_grid(n)
        # sorted vertices: MeshTri2 leaves them as they are, and elements of degree 3 and more would not fit together
        straight = skfem.MeshTri(vertices.T, np.sort(triangles(vertices, quads), axis=1).T)
        curved = skfem.MeshTri2.from_mesh(straight)
        facets = straight.boundary_facets()
        on_holes = facets[np.abs(straight.p[:, straight.facets[:, facets]]).max(axis=0).min(axis=0) < 0.5 - 1e-9]
        at = straight.p.shape[1] + on_holes
        places = curved.doflocs.copy()
        places[:, at] = onto_circles(places[:, at].T).T
        return skfem.MeshTri2(places, curved.t, sort_t=False), straight
    side = np.linspace(0, 1, n + 1) if name in ("poisson", "nonlinear") else np.linspace(-1, 1, 2 * n + 1)
    mesh = skfem.MeshTri.init_tensor(side, side)
    if name == "l-shape":
        x, y = mesh.p[:, mesh.t].mean(axis=1)
        mesh = mesh.remove_elements(np.flatnonzero((x > 0) & (y < 0)))
    return mesh, mesh


def boundary_values(name: str, x: Array) -> Array:
    """Return the prescribed values at boundary points [2, n]."""
    if name == "plate":
        return (np.abs(x).max(axis=0) > 0.5 - 1e-9).astype(float)
    if name == "l-shape":
        return l_shape_solution(*x)
    return np.zeros(x.shape[1])


def source(name: str, x: Array) -> Array:
    """Return the right side f at points [2, ...]."""
    if name == "poisson":
        return np.asarray(-8 * np.pi**2 * np.sin(2 * np.pi * x[0]) * np.sin(2 * np.pi * x[1]))
    if name == "nonlinear":
        s = np.sin(np.pi * x[0]) * np.sin(2 * np.pi * x[1])
        return np.asarray(5 * np.pi**2 * s + s**3)
    return np.zeros_like(x[0])


def solve(name: str, mesh: Any, degree: int) -> tuple[Any, Array]:
    """Assemble and solve as in scikit-fem's documentation: one sparse solve, or Newton's method for a nonlinear problem."""
    basis = skfem.Basis(mesh, ELEMENTS[degree](), intorder=2 * degree + 2)
    u = np.zeros(basis.N)
    fixed = basis.get_dofs()
    u[fixed] = boundary_values(name, basis.doflocs[:, fixed.flatten()])
    laplace = skfem.BilinearForm(lambda u, v, w: dot(grad(u), grad(v))).assemble(basis)
    load = skfem.LinearForm(lambda v, w: source(name, w.x) * v).assemble(basis)
    if name != "nonlinear":
        return basis, skfem.solve(*skfem.condense(laplace, load, x=u, D=fixed))
    slope = skfem.BilinearForm(lambda u, v, w: 3 * w["old"] ** 2 * u * v)
    cube = skfem.LinearForm(lambda v, w: w["old"] ** 3 * v)
    for _ in range(20):
        old = basis.interpolate(u)
        residual = laplace @ u + cube.assemble(basis, old=old) - load
        step = skfem.solve(*skfem.condense(laplace + slope.assemble(basis, old=old), -residual, x=np.zeros_like(u), D=fixed))
        u = u + step
        if np.abs(step).max() <= 1e-10:
            break
    return basis, u


def evaluate(basis: Any, straight: Any, u: Array, x: Array) -> Array:
    """Return values at points [n, 2]; curved cells contain the points of the domain that their straight versions contain."""
    cells = straight.element_finder()(*x.T)
    mapping = basis.mapping
    places = mapping.invF(x.T[:, :, None], tind=cells)
    shares = (
        u[basis.element_dofs[i, cells]] * np.asarray(basis.elem.gbasis(mapping, places, i, tind=cells)[0].value)[:, 0]
        for i in range(basis.Nbfun)
    )
    return np.asarray(sum(shares))


def main() -> None:
    """Measure on finer and finer meshes, as long as the next is likely to take no more than the given seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", required=True)
    parser.add_argument("--degree", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    measured = measuring_points(options.problem)
    assert measured is not None
    x, truth = measured
    points: list[tuple[float, float, int]] = []
    n, setup = 4, 0.0
    while not points or (4.5 * points[-1][0] <= options.seconds and 4 * points[-1][2] <= LARGEST):
        began = time.perf_counter()
        mesh, straight = mesh_of(options.problem, n)
        setup = time.perf_counter() - began
        began = time.perf_counter()
        basis, u = solve(options.problem, mesh, options.degree)
        spent = time.perf_counter() - began
        found = evaluate(basis, straight, u, x)
        points.append((spent, float(np.linalg.norm(found - truth) / np.linalg.norm(truth)), int(basis.N)))
        n *= 2
    print(json.dumps({"setup": setup, "points": points, "version": skfem.__version__}))


if __name__ == "__main__":
    main()

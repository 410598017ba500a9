"""The four problems of the comparison of error against time: statements for vpinn, meshes, solutions and measuring points.

| name | equation | solution |
|---|---|---|
| poisson | −Δu = f on the unit square | −sin 2πx sin 2πy |
| nonlinear | −Δu + u³ = f on the unit square | sin πx sin 2πy |
| plate | Δu = 0 on (−½, ½)² minus four disks; u = 1 on the square, 0 on the circles (PINNacle, "Poisson 2d-C") | a file, 1e-13 |
| l-shape | Δu = 0 on an L with a re-entrant corner | r^⅔ sin ⅔θ + eˣ sin y |
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TITLES = {
    "poisson": "Poisson, smooth",
    "nonlinear": "Nonlinear, −Δu + u³ = f",
    "plate": "Plate with four holes",
    "l-shape": "L-shape, singular corner",
}
TRUTH = Path(__file__).parents[3] / "shared" / "references" / "plate_four_holes_truth.npz"
CENTER, RADIUS, SAMPLES = 0.3, 0.1, 10_000


def measuring_points(name: str) -> tuple[Array, Array] | None:
    """Return random points of the domain [n, 2] and the solution there [n]; None if the file of the solution is missing."""
    generator = np.random.default_rng(20)
    if name == "plate":
        if not TRUTH.exists():
            return None
        with np.load(TRUTH) as found:
            return found["x"], found["u"]
    x = generator.random((2 * SAMPLES, 2))
    if name == "poisson":
        return x[:SAMPLES], -np.sin(2 * np.pi * x[:SAMPLES, 0]) * np.sin(2 * np.pi * x[:SAMPLES, 1])
    if name == "nonlinear":
        return x[:SAMPLES], np.sin(np.pi * x[:SAMPLES, 0]) * np.sin(2 * np.pi * x[:SAMPLES, 1])
    x = 2 * x - 1
    x = x[(x[:, 0] < 0) | (x[:, 1] > 0)][:SAMPLES]
    return x, l_shape_solution(x[:, 0], x[:, 1])


def l_shape_solution(x: Array, y: Array) -> Array:
    """Return the solution on the L-shape: a corner function plus a smooth one, both harmonic."""
    theta = 0.75 * np.pi + np.arctan2(-x - y, y - x)
    return np.asarray(np.hypot(x, y) ** (2 / 3) * np.sin(2 * theta / 3) + np.exp(x) * np.sin(y))


def statement(name: str, form: str) -> dict[str, Any]:
    """Return the problem without its domain and its exact solution, with an "energy", "weak" or (L-shape) "strong" form."""
    flow, load, more, on = "inner(grad(u), grad(v))*dx", "", {}, [{"on": "all", "value": 0}]
    energy = "0.5*inner(grad(u), grad(u))*dx"
    if name == "poisson":
        more, load = {"f": "-8*pi**2*sin(2*pi*x)*sin(2*pi*y)"}, " - f*{}*dx"
    elif name == "nonlinear":
        more = {"s": "sin(pi*x)*sin(2*pi*y)", "f": "5*pi**2*s + s**3"}
        load = " + (u**3 - f)*v*dx" if form == "weak" else " + (0.25*u**4 - f*u)*dx"
    elif name == "plate":
        on = [{"on": "square", "value": 1}, {"on": "holes", "value": 0}]
    else:
        more = {
            "r": "sqrt(x**2 + y**2)",
            "theta": "3*pi/4 + atan2(-x - y, y - x)",
            "singular": "r**(2/3)*sin(2*theta/3)",
        }
        on = [{"on": "all", "value": "singular + exp(x)*sin(y)"}]
    if form == "strong":
        return {"unknowns": {"u": "scalar"}, "expressions": more, "boundary": on, form: "-div(grad(u))"}
    text = (flow if form == "weak" else energy) + load.format("v" if form == "weak" else "u")
    return {"unknowns": {"u": "scalar"}, "expressions": more, "boundary": on, form: text}


def domain(name: str, n: int) -> Any:
    """Return the domain with triangles, n cells per side, per unit length, or along each side of a hole."""
    from vpinn.domain import l_shape, rectangle

    return plate_mesh(n) if name == "plate" else l_shape(n) if name == "l-shape" else rectangle(cells=n)


def plate_grid(n: int) -> tuple[Array, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return quadrilaterals around the four holes, n along each of a hole's four sides and 3n/4 from it to the outside.

    Returns:
        vertices [n_v, 2]; quadrilaterals, counter-clockwise [n_q, 4]; edges on the square and on the circles [n_e, 2].
    """
    layers = max(2, 3 * n // 4)
    side = np.linspace(0.0, 0.5, n + 1)[:-1]
    half, zero = np.full(n, 0.5), np.zeros(n)
    outer = np.concatenate(
        [np.stack(pair, 1) for pair in ((half, side), (half - side, half), (zero, half - side), (side, zero))]
    )  # counter-clockwise from (½, 0)
    angle = -np.pi / 4 + np.pi / 2 * np.arange(4 * n) / n
    circle = CENTER + RADIUS * np.stack([np.cos(angle), np.sin(angle)], 1)
    share = np.linspace(0.0, 1.0, layers + 1)[:, None, None] ** 1.25
    quarter = ((1 - share) * circle + share * outer).reshape(-1, 2)
    ring, layer = np.arange(4 * n), np.arange(layers)[:, None] * 4 * n
    ahead = (ring + 1) % (4 * n)
    cells = np.stack(np.broadcast_arrays(layer + ring, layer + 4 * n + ring, layer + 4 * n + ahead, layer + ahead), 2)
    cells = cells.reshape(-1, 4)
    nodes, quads = [], []
    for count, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        nodes.append(quarter * (sx, sy))
        quads.append((cells if sx * sy > 0 else cells[:, ::-1]) + count * len(quarter))
    _, first, same = np.unique(np.round(np.concatenate(nodes), 9), axis=0, return_index=True, return_inverse=True)
    vertices, quads = np.concatenate(nodes)[first], same.ravel()[np.concatenate(quads)]
    edges = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], 2).reshape(-1, 2), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    edges = edges[count == 1]
    on_square = np.abs(vertices[edges]).max(axis=2).min(axis=1) > 0.5 - 1e-9
    return vertices, quads, edges[on_square], edges[~on_square]


def triangles(vertices: Array, quads: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return triangles of quadrilaterals that are cut along the shorter diagonal [2 n_q, 3]."""
    a, b, c, d = vertices[quads].transpose(1, 0, 2)
    turned = (np.linalg.norm(a - c, axis=1) > np.linalg.norm(b - d, axis=1)).astype(int)
    turned = quads[np.arange(len(quads))[:, None], (np.arange(4) + turned[:, None]) % 4]
    return np.concatenate([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]])


def onto_circles(x: Array) -> Array:
    """Return points near the circles moved onto them [n, 2]."""
    centers = CENTER * np.sign(x)
    return centers + RADIUS * (x - centers) / np.linalg.norm(x - centers, axis=1, keepdims=True)


def plate_mesh(n: int) -> Any:
    """Return second-order triangles with curved edges on the circles, and the tags square and holes."""
    from vpinn.domain import LagrangeSpace, make_mesh

    vertices, quads, square, holes = plate_grid(n)
    straight = make_mesh(vertices, triangles(vertices, quads), "triangle", 1, {"square": square, "holes": holes})
    space = LagrangeSpace(straight, 2)
    nodes, on_holes = space.locations(), space.boundary_dofs(straight.facets("holes"))
    nodes[on_holes] = onto_circles(nodes[on_holes])
    curved = make_mesh(nodes, space.dofs, "triangle", 2)
    vertex = curved.nodes[curved.facet_vertices(np.arange(len(curved.boundary)))]
    outside = np.abs(vertex).max(axis=2).min(axis=1) > 0.5 - 1e-9
    return curved.tagged({"square": outside, "holes": ~outside})

"""The figure of a plane vector field: the deformed shape of a displacement, or the streamlines of a flow.

A vector that is the only unknown is taken for a displacement, one beside others, such as a pressure, for a velocity.
"""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation

from vpinn.domain import located_points
from vpinn.output.canvas import select
from vpinn.output.cells import triangles
from vpinn.output.planes import Plane, label_plane, outline
from vpinn.output.scene import Array, Scene
from vpinn.output.style import FAINT, INK, colours, figure
from vpinn.solution import Solution

SHOWN = 0.1
"""Largest displacement in the figure, over the diagonal of the domain."""
GRID = 60
"""Points along the longer side of the grid that streamlines are integrated on."""
STRESS = "von_mises"
"""Name of the further field that a deformed shape is coloured by, if there is one."""


def vector_figure(solution: Solution, scene: Scene) -> Figure | None:
    """Return the figure of the first plane vector among the unknowns; None if there is none."""
    unknowns = solution.problem.unknowns
    names = [unknown.name for unknown in unknowns if unknown.shape == (2,)]
    if not names or not isinstance(scene, Plane) or solution.problem.eigen is not None:
        return None
    return _deformed(solution, scene, names[0]) if len(unknowns) == 1 else _streamlines(solution, scene, names[0])


def _deformed(solution: Solution, scene: Plane, name: str) -> Figure | None:
    """Return the domain with its nodes moved by the unknown, enlarged so that it can be seen; None if nothing moves."""
    mesh = scene.canvas.mesh
    moved = solution.at(scene.points)[name]
    sizes = np.linalg.norm(moved, axis=1)
    if not np.isfinite(sizes).all() or not sizes.max() > 0.0:
        return None
    scale = enlargement(sizes, np.ptp(mesh.nodes, axis=0))
    values, label = sizes, f"|{name}|"
    stress = solution.derived(scene.points).get(STRESS)
    if stress is not None and stress.ndim == 1:
        values, label = stress, STRESS
    tone, norm = colours(values, scene.shares)
    width, height = scene.size
    shown = figure(width, height + 0.4, f"Deformed by {name}, enlarged {scale:g} times")
    axes = shown.subplots()
    at = mesh.nodes + scale * moved
    shape = Triangulation(at[:, 0], at[:, 1], triangles(mesh)[0])
    painted = axes.tripcolor(shape, values, cmap=tone, norm=norm, shading="gouraud", rasterized=True)
    axes.add_collection(LineCollection(list(outline(mesh)), colors=FAINT, linewidths=0.7, linestyles="dashed"))
    axes.add_collection(LineCollection(list(outline(mesh, at)), colors=INK, linewidths=0.9))
    label_plane(axes, ("x", "y"))
    shown.colorbar(painted, ax=axes, label=label, aspect=30, pad=0.02).outline.set_visible(False)
    return shown


def _streamlines(solution: Solution, scene: Plane, name: str) -> Figure:
    """Return lines along the unknown, over its size in colours."""
    mesh = scene.canvas.mesh
    speeds = np.linalg.norm(solution.at(scene.points)[name], axis=1)
    width, height = scene.size
    shown = figure(width, height + 0.4, f"Streamlines of {name}")
    axes = shown.subplots()
    painted = scene.draw([axes], speeds, colours(speeds, scene.shares))
    lower, upper = mesh.bounds
    step = float((upper - lower).max()) / (GRID - 1)
    x, y = (np.linspace(a, b, max(2, round((b - a) / step) + 1)) for a, b in zip(lower, upper, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    points, inside = located_points(solution.problem.domain, grid)
    flow: Array = np.full((len(grid), 2), np.nan)
    flow[inside] = solution.at(select(points, inside))[name]
    u, v = flow.T.reshape(2, len(y), len(x))
    axes.streamplot(x, y, u, v, color="white", linewidth=0.7, arrowsize=0.7, density=1.2)
    shown.colorbar(painted, ax=axes, label=f"|{name}|", aspect=30, pad=0.02).outline.set_visible(False)
    return shown


def enlargement(sizes: Array, sides: Array) -> float:
    """Return the factor, rounded to one digit, that makes the largest displacement visible in a domain of these sides [d]."""
    return float(f"{SHOWN * float(np.linalg.norm(sides)) / float(sizes.max()):.0e}")

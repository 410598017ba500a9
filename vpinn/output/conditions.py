"""The figure of the boundary conditions: every part of the boundary in the colour of what is given there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray

from vpinn.domain import Mesh
from vpinn.forms import integrals
from vpinn.output.planes import boundary_lines, label_plane, panel_size
from vpinn.output.style import FAINT, figure, literal
from vpinn.problem import Problem

COLOURS = ("#0b6e99", "#d1495b", "#2a9d58", "#b3732a", "#6a4c93", "#3d8b8b", "#8f2d56", "#5c6b2f")
"""Colours of conditions, again from the first where there are more."""


def conditions_figure(problem: Problem) -> Figure | None:
    """Return the boundary of a plane domain or solid with its conditions; None on other domains, or without conditions."""
    mesh = problem.domain.mesh
    if mesh is None or mesh.dimension == 1 or not (parts := _parts(problem, mesh)):
        return None
    return (_of_plane if mesh.dimension == 2 else _of_solid)(mesh, parts)


def _parts(problem: Problem, mesh: Mesh) -> Mapping[str, NDArray[np.int64]]:
    """Return what is given on parts of the boundary, in words → rows of the boundary's facets."""
    found = dict[str, NDArray[np.int64]]()
    for condition in problem.boundary:
        component = "" if condition.component is None else f"[{condition.component}]"
        what = "residual" if condition.residual is not None else f"value of {condition.unknown}{component}"
        found[f"{what} on {', '.join(condition.on)}"] = mesh.facets(condition.on)
    for part in integrals(problem.formulation.integrals):
        if part.region.symbol == "ds":
            tags = tuple(problem.tags[i] for i in part.tags)
            found[f"term of the form on {', '.join(tags) or 'all'}"] = mesh.facets(tags or "all")
    return found


def _of_plane(mesh: Mesh, parts: Mapping[str, NDArray[np.int64]]) -> Figure:
    width, height = panel_size(np.ptp(mesh.nodes, axis=0))
    shown = figure(width + 0.6, height + 0.3 + 0.2 * len(parts), "Boundary conditions")
    axes, lines = shown.subplots(), mesh.nodes[boundary_lines(mesh)]
    axes.add_collection(LineCollection(list(lines), colors=FAINT, linewidths=0.9))
    for number, facets in enumerate(parts.values()):
        wide = 2.0 + 2.5 * (len(parts) - 1 - number)  # so that a condition shows below another on the same part
        axes.add_collection(LineCollection(list(lines[facets]), colors=_colour(number), linewidths=wide, capstyle="butt"))
    axes.autoscale_view()
    label_plane(axes, ("x", "y"))
    _legend(shown, parts)
    return shown


def _of_solid(mesh: Mesh, parts: Mapping[str, NDArray[np.int64]]) -> Figure:
    shown = figure(6.0, 4.6, "Boundary conditions")
    axes = shown.add_subplot(projection="3d")
    ring = [0, 1, 2] if mesh.reference.facet_cell == "triangle" else [0, 1, 3, 2]
    faces = mesh.nodes[mesh.facet_vertices(np.arange(len(mesh.boundary)))[:, ring]]
    free = np.setdiff1d(np.arange(len(faces)), np.concatenate(list(parts.values())))
    for colour, facets in ((FAINT, free), *((_colour(number), facets) for number, facets in enumerate(parts.values()))):
        axes.add_collection3d(Poly3DCollection(faces[facets], facecolors=colour, edgecolors="white", linewidths=0.2, alpha=0.5))
    axes.auto_scale_xyz(*mesh.nodes.T)
    axes.set(xlabel="x", ylabel="y", zlabel="z")
    axes.set_box_aspect(np.ptp(mesh.nodes, axis=0), zoom=0.85)
    axes.locator_params(nbins=4)
    _legend(shown, parts)
    return shown


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _legend(shown: Figure, parts: Mapping[str, NDArray[np.int64]]) -> None:
    marks = [Line2D([], [], color=_colour(number), linewidth=4.0) for number in range(len(parts))]
    shown.legend(marks, [literal(name) for name in parts], loc="outside lower center")

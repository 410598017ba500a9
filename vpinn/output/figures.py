"""The figures of a run of a steady problem: solution, error, error estimate, convergence and quadrature points.

Start from `draw`. A `Scene` decides how a scalar field is drawn on a domain of given dimension; the functions here choose what to
draw, and lay out panels, titles and colour bars. `vpinn.output.instants` does the same for problems in time.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from vpinn.domain import Domain
from vpinn.objective import Resolution, make_objective
from vpinn.output.canvas import make_canvas
from vpinn.output.conditions import conditions_figure
from vpinn.output.convergence import convergence_figure
from vpinn.output.curves import Line, Sections
from vpinn.output.formats import component_names
from vpinn.output.inferred import data_figure
from vpinn.output.learned import learned_figure
from vpinn.output.planes import Plane, Slices
from vpinn.output.quadrature import quadrature_figure
from vpinn.output.raster import MANY, Raster
from vpinn.output.scene import Array, Scene
from vpinn.output.style import colours, figure, magnitudes, powers_of_ten, styled
from vpinn.output.vectors import vector_figure
from vpinn.solution import Solution
from vpinn.storage import inside, write_atomic

ROUNDING = 1e-12
"""Size relative to the largest component of a vector, dimensionless, up to which a component is drawn as zero."""
MARGIN = 0.12
"""White margin around a figure [inches]."""
MOST = 6
"""Largest number of components in a figure; its title says if there are more."""


def draw(solution: Solution, directory: Path) -> list[Path]:
    """Draw the figures of a solution as png files.

    Args:
        solution: The solution to draw.
        directory: Folder of the figures; created if it does not exist.

    Returns:
        Paths of the files written: solution.png and quadrature.png; fields.png, vector.png, error.png, data.png, learning.png,
        estimate.png and convergence.png if the data exist.

    Raises:
        StorageError: A file could not be written.
    """
    problem = solution.problem
    objective = make_objective(problem, solution.trial, resolution=Resolution(summed=True))
    with styled():
        scene = make_scene(problem.domain)
        drawn = {
            "conditions": conditions_figure(problem),
            "solution": solution_figure(solution, scene),
            "fields": fields_figure(solution, scene),
            "vector": vector_figure(solution, scene),
            "error": error_figure(solution, scene),
            "data": data_figure(solution),
            "learning": learned_figure(solution),
            "estimate": estimate_figure(solution, scene),
            "convergence": convergence_figure(solution),
            "quadrature": quadrature_figure(problem.domain, objective.measures, solution.metrics.get("quadrature_points")),
        }
        return write_figures(drawn, directory)


def write_figures(drawn: Mapping[str, Figure | None], directory: Path) -> list[Path]:
    """Write figures as png files with their names into a folder, which is created if it does not exist; return their paths.

    Raises:
        StorageError: A file could not be written.
    """
    written = []
    for name, content in drawn.items():
        if content is not None:
            write_atomic(inside(directory.parent, f"{directory.name}/{name}.png"), png(content))
            written.append(directory / f"{name}.png")
    return written


def png(content: Figure) -> bytes:
    """Return a figure as the bytes of a png file, cropped to its content.

    The layout engine runs here, once, and is then switched off: ``savefig`` would draw the figure twice to lay it out.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a title may have characters that the font lacks
        if content.axes and (engine := content.get_layout_engine()) is not None:
            engine.execute(content)
            content.set_layout_engine(None)
        drawn = content.get_tightbbox().padded(MARGIN)
        content.savefig(buffer, format="png", metadata={"Software": None}, bbox_inches=drawn)
    return buffer.getvalue()


def solution_figure(solution: Solution, scene: Scene) -> Figure:
    """Return a figure of all components of all unknowns, with the exact solution, if known, where fields are drawn as curves."""
    return _figure_of(solution, scene, solution.at(scene.points), solution.problem.title or "Solution")


def fields_figure(solution: Solution, scene: Scene) -> Figure | None:
    """Return a figure like `solution_figure` of the further fields of the problem file; None if it has none."""
    values = solution.derived(scene.points)
    return _figure_of(solution, scene, values, f"Fields: {', '.join(values)}", singular=True) if values else None


def _figure_of(solution: Solution, scene: Scene, fields: dict[str, Array], title: str, singular: bool = False) -> Figure:
    """Return a figure of all components of some fields, given at the points of the scene, which may be ``singular`` there."""
    values = components_of(fields)
    exact = components_of({name: found for name, found in solution.exact(scene.points).items() if name in fields})
    names, told = list(values), _eigenvalues(solution)
    shown, axes = _grid(scene, names, title)
    for name, row in zip(names, axes, strict=False):
        tones = colours(values[name], scene.shares if singular else None)
        painted = scene.draw(row, values[name], tones, exact.get(name))
        _name(shown, scene, row, name + told.get(name, ""), painted)
    if scene.panels != 3 and len(exact) and painted is None:
        axes[0][0].legend(loc="best")
    return shown


def _eigenvalues(solution: Solution) -> dict[str, str]:
    """Return component of a mode → its real eigenvalue in words; nothing for other solutions."""
    found, unknowns = solution.metrics.get("eigenvalues", []), solution.problem.unknowns
    if not found or "imaginary" in found[0]:
        return {}
    each = len(unknowns) // len(found)
    return {
        name: f",  λ = {found[at // each]['value']:.6g}"
        for at, unknown in enumerate(unknowns)
        for name in component_names(unknown.name, unknown.shape)
    }


def error_figure(solution: Solution, scene: Scene) -> Figure | None:
    """Return a figure of u − u_exact for every component; None if the exact solution is not known."""
    exact = components_of({u: truth for u, truth in solution.exact(scene.points).items() if u in solution.problem.exact})
    if not exact:
        return None
    values = components_of(solution.at(scene.points))
    shown, axes = _grid(scene, list(exact), _error_title(solution))
    for name, row in zip(exact, axes, strict=False):
        gap = values[name] - exact[name]
        painted = scene.draw(row, gap, colours(gap))
        _name(shown, scene, row, f"{name} − exact", painted)
    return shown


def estimate_figure(solution: Solution, scene: Scene) -> Figure | None:
    """Return a figure of the error estimate per cell; None if the solution has no estimate per cell."""
    if solution.cell_estimate is None:
        return None
    relative = solution.error_estimate.get("relative_energy")
    title = "Estimated error" if relative is None else f"Estimated error: {relative:.1e} of the flux"
    shown, axes = _grid(scene, ["estimate"], title)
    painted = scene.draw_cells(axes[0], solution.cell_estimate, magnitudes(solution.cell_estimate))
    _name(shown, scene, axes[0], "", painted, "error of the flux per cell")
    return shown


def make_scene(domain: Domain) -> Scene:
    """Return the scene for a domain: a curve in 1D, colours in 2D (pixels on large meshes), slices in 3D, sections above."""
    if domain.dimension > 3:
        return Sections(domain)
    if domain.dimension == 3:
        return Slices(domain)
    if domain.dimension == 2 and domain.mesh is not None and domain.n_cells > MANY:
        return Raster(domain.mesh)
    canvas = make_canvas(domain)
    return Line(canvas) if domain.dimension == 1 else Plane(canvas)


def components_of(values: dict[str, Array]) -> dict[str, Array]:
    """Return name → values [n] of every scalar component; components that are rounding beside others of their vector are zero."""
    parts: dict[str, Array] = {}
    for name, value in values.items():
        columns = value.reshape(len(value), -1).T
        sizes = np.nanmax(np.abs(columns), axis=1, initial=0.0)
        columns = np.where((sizes <= ROUNDING * sizes.max(initial=0.0))[:, None], 0.0 * columns, columns)
        parts |= dict(zip(component_names(name, value.shape[1:]), columns, strict=True))
    return parts


def _grid(scene: Scene, names: Sequence[str], title: str) -> tuple[Figure, list[list[Axes]]]:
    """Return an empty figure, and for each of at most `MOST` components the axes of its panels."""
    count = min(len(names), MOST)
    if count < len(names):
        title += f" (components 1 to {count} of {len(names)})"
    width, height = scene.size
    across = 1 if _flat(scene) else 3
    rows, columns = (count, scene.panels) if scene.panels > 1 else (-(-count // across), min(count, across))
    if isinstance(scene, Sections) and count == 1 and scene.panels > 3:
        rows, columns = 2, -(-scene.panels // 2)
    shown = figure(columns * width, rows * height + 0.4, title)
    axes = shown.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count * scene.panels :]:
        spare.set_visible(False)
    return shown, [axes[k * scene.panels : (k + 1) * scene.panels] for k in range(count)]


def _name(shown: Figure, scene: Scene, row: list[Axes], name: str, painted: object, unit: str = "") -> None:
    """Label the panels of a component with its name, and add a colour bar; curves get a label of the y axis instead."""
    if painted is None:
        row[0].set_ylabel(name or unit)
        return
    if scene.panels == 1:
        row[0].set_title(name)
    label = name if scene.panels > 1 and name else unit
    below = scene.panels == 1 and _flat(scene)
    bar = shown.colorbar(painted, ax=row, label=label, aspect=30, pad=0.02, location="bottom" if below else "right")  # type: ignore[arg-type]
    bar.outline.set_visible(False)
    if isinstance(bar.norm, LogNorm):
        powers_of_ten(bar.long_axis)


def _flat(scene: Scene) -> bool:
    """Return whether panels are so wide that they are placed below each other."""
    return scene.size[0] > 2.0 * scene.size[1]


def _error_title(solution: Solution) -> str:
    parts = [f"{name} {found['relative_l2']:.1e}" for name, found in solution.errors.items() if "relative_l2" in found]
    name = "Relative L² difference from elements" if solution.metrics.get("errors_against") == "elements" else "Relative L² error"
    return f"{name}: {', '.join(parts)}" if parts else "Error"

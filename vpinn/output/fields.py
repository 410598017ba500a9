"""Fields of a solution (values, gradients, exact values, error) at mesh nodes or given points, and their export to files.

Start from `export`, which writes a file, or `fields_at`, which returns arrays. `vpinn.output.formats` encodes the file formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpinn.domain import Inside, Mesh, Points, located_points
from vpinn.errors import InputError
from vpinn.output import formats
from vpinn.output.canvas import Canvas, make_canvas, select
from vpinn.run_files import check_target
from vpinn.solution import Solution
from vpinn.storage import write_atomic

Array = NDArray[np.float64]

CHUNK = 200_000
"""Number of points that are evaluated at once, which bounds the memory needed."""
SAMPLES = 10_000
"""Number of Sobol points that are written to csv and npz files when the domain is a hypercube, which has no mesh."""


@dataclass(frozen=True, eq=False)
class Fields:
    """Values of a solution at points, ready to be written to a file.

    Attributes:
        x: Coordinates [n, d].
        mesh: Mesh whose nodes are ``x``; None if the points belong to no mesh.
        axes: Names of the coordinates [d].
        values: Name → values [n] of a scalar or [n, m] of m components; ``grad_<name>`` has one more axis [d].
        cell_values: Name → one number per cell of the mesh [n_cells].
    """

    x: Array
    mesh: Mesh | None
    axes: tuple[str, ...]
    values: Mapping[str, Array]
    cell_values: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


def fields_on(solution: Solution, canvas: Canvas) -> Fields:
    """Return all fields of a solution at the nodes of a canvas, with the error estimate and the cell tags per cell."""
    cells: dict[str, NDArray[np.generic]] = {}
    domain = solution.problem.domain
    if solution.cell_estimate is not None:
        cells["error_estimate"] = solution.cell_estimate[canvas.parent]
    cells |= {f"tag_{name}": np.isin(canvas.parent, tag).astype(np.int32) for name, tag in domain.cell_tags.items()}
    return Fields(canvas.mesh.nodes, canvas.mesh, domain.axes, values_at(solution, canvas.points), cells)


def fields_at(solution: Solution, x: ArrayLike) -> Fields:
    """Return all fields of a solution at points [n, d]; values outside the domain are nan.

    Raises:
        InputError: The array is empty or does not have d coordinates per point.
    """
    d = solution.problem.domain.dimension
    coordinates = np.atleast_2d(np.asarray(x, dtype=np.float64))
    if coordinates.ndim != 2 or coordinates.shape[1] != d or not len(coordinates):
        raise InputError(f"points need {d} coordinate{'s' * (d > 1)} each, got an array of shape {list(np.shape(x))}")
    points, inside = located_points(solution.problem.domain, coordinates)
    values = {}
    for name, found in values_at(solution, select(points, inside)).items():
        values[name] = np.full((len(coordinates), *found.shape[1:]), np.nan)
        values[name][inside] = found
    return Fields(coordinates, None, solution.problem.domain.axes, values)


def values_at(solution: Solution, points: Points) -> dict[str, Array]:
    """Return all unknowns and their gradients and, where the exact solution is known, exact values and errors u − u_exact.

    Args:
        solution: The solution to evaluate.
        points: n points with the cells that they lie in.

    Returns:
        Name → values. For an unknown u: u [n] or [n, m], grad_u [n, d] or [n, m, d], and u_exact and u_error of the shape of u.
        For a further field of the problem file, the same without a gradient.
        If the solution has Langevin samples, also their mean u_mean and standard deviation u_std, of the shape of u.
    """
    if len(points) > CHUNK:
        rows = np.split(np.arange(len(points)), range(CHUNK, len(points), CHUNK))
        parts = [values_at(solution, select(points, some)) for some in rows]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    values = solution.at(points)
    gradients = solution.at(points, 1)
    exact = solution.exact(points)
    values |= solution.derived(points)
    found = dict(values)
    for name in values:
        if name in gradients:
            found[f"grad_{name}"] = gradients[name]
        if name in exact:
            found[f"{name}_exact"], found[f"{name}_error"] = exact[name], values[name] - exact[name]
    means, deviations = solution.spread(points)
    found |= {f"{name}_mean": mean for name, mean in means.items()}
    found |= {f"{name}_std": deviation for name, deviation in deviations.items()}
    return found


def export(solution: Solution, path: str | Path, refine: int = 0, points: ArrayLike | None = None) -> Path:
    """Write the fields of a solution to a file; the suffix of its path chooses the format.

    Coarse meshes are refined until a smooth field looks smooth, see `make_canvas`. On a hypercube, which has no mesh, csv and npz
    files hold 10,000 Sobol points.

    Args:
        solution: The solution to write.
        path: File with suffix .vtu, .pvd (with a .vtu file beside it), .xdmf, .csv or .npz; replaced atomically if it exists.
        refine: Number of refinements of the output mesh beyond the automatic ones, 0 to 4.
        points: Coordinates [n, d] at which to write the fields, instead of on a mesh.

    Returns:
        The path of the file.

    Raises:
        InputError: The suffix is unknown, the mesh would be too fine, the format cannot hold more than three dimensions, or a run
            needs the file that is there.
        StorageError: The file could not be written.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise InputError(f"{path.name!r} has no known format; give a name that ends in {', '.join(WRITERS)}")
    if not 0 <= refine <= 4:
        raise InputError(f"refine must be between 0 and 4, got {refine}")
    check_target(path)
    WRITERS[path.suffix](_gather(solution, path.suffix, refine, points), path)
    return path


def _gather(solution: Solution, suffix: str, refine: int, points: ArrayLike | None) -> Fields:
    """Return the fields to write: at the points given, else at Sobol points of a hypercube (csv, npz), else on a mesh."""
    domain = solution.problem.domain
    if points is not None:
        return fields_at(solution, points)
    if domain.mesh is None and suffix in (".csv", ".npz"):
        sampled = Inside(domain).points(0, SAMPLES).take(range(SAMPLES))
        return fields_at(solution, sampled.x)
    return fields_on(solution, make_canvas(domain, refine))


def _write_pvd(fields: Fields, path: Path) -> None:
    """Write a .pvd collection with its .vtu file; the .vtu comes first, so that the collection never names a missing file."""
    target = path.with_suffix(".vtu")
    write_atomic(target, formats.vtu(fields.x, fields.mesh, fields.values, fields.cell_values))
    write_atomic(path, formats.pvd(target.name))


WRITERS: Final[Mapping[str, Callable[[Fields, Path], None]]] = {
    ".vtu": lambda f, path: write_atomic(path, formats.vtu(f.x, f.mesh, f.values, f.cell_values)),
    ".pvd": _write_pvd,
    ".xdmf": lambda f, path: write_atomic(path, formats.xdmf(f.x, f.mesh, f.values, f.cell_values)),
    ".csv": lambda f, path: write_atomic(path, formats.csv(f.x, f.values, f.axes)),
    ".npz": lambda f, path: write_atomic(path, formats.npz(f.x, f.mesh, f.values, f.cell_values)),
}
"""Suffix of a file → function that writes fields to it."""

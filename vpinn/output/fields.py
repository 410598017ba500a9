"""Fields of a solution: values, gradients, truth and error at the nodes of a mesh or at given points, and their export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpinn.domain import Inside, Mesh, Points, axis_names, located_points
from vpinn.errors import InputError
from vpinn.output import formats
from vpinn.output.canvas import Canvas, make_canvas, select
from vpinn.solution import Solution
from vpinn.storage import write_atomic

Array = NDArray[np.float64]

CHUNK = 200_000
"""Points that are evaluated at a time."""
SAMPLES = 10_000
"""Points that csv and npz hold where the domain has no cells."""


@dataclass(frozen=True, eq=False)
class Fields:
    """Values of a solution, ready to be written.

    Attributes:
        x: coordinates [n, d].
        mesh: mesh whose nodes ``x`` are; None for loose points.
        values: name → [n] for a scalar, [n, m] for m components, and gradients ``grad_<name>`` with an axis [d] more.
        cell_values: name → one number per cell of the mesh [n_cells].
    """

    x: Array
    mesh: Mesh | None
    values: Mapping[str, Array]
    cell_values: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


def fields_on(solution: Solution, canvas: Canvas) -> Fields:
    """Return all fields of a solution on a canvas."""
    cells: dict[str, NDArray[np.generic]] = {}
    domain = solution.problem.domain
    if solution.cell_estimate is not None:
        cells["error_estimate"] = solution.cell_estimate[canvas.parent]
    cells |= {f"tag_{name}": np.isin(canvas.parent, tag).astype(np.int32) for name, tag in domain.cell_tags.items()}
    return Fields(canvas.mesh.nodes, canvas.mesh, values_at(solution, canvas.points), cells)


def fields_at(solution: Solution, x: ArrayLike) -> Fields:
    """Return all fields at points [n, d]; nan outside the domain.

    Raises:
        InputError: not d finite coordinates per point.
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
    return Fields(coordinates, None, values)


def values_at(solution: Solution, points: Points) -> dict[str, Array]:
    """Return every unknown, its gradient and, where the truth is known, exact values and the error u − u_exact.

    Args:
        solution: the solution.
        points: n points that know their cells.

    Returns:
        u → [n] or [n, m], grad_u → [n, d] or [n, m, d], u_exact and u_error shaped as u; of Langevin samples u_mean and
        u_std.
    """
    if len(points) > CHUNK:
        rows = np.split(np.arange(len(points)), range(CHUNK, len(points), CHUNK))
        parts = [values_at(solution, select(points, some)) for some in rows]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    values, gradients, exact = solution.at(points), solution.at(points, 1), solution.exact(points)
    found = dict(values)
    for name in values:
        found[f"grad_{name}"] = gradients[name]
        if name in exact:
            found[f"{name}_exact"], found[f"{name}_error"] = exact[name], values[name] - exact[name]
    means, deviations = solution.spread(points)
    found |= {f"{name}_mean": mean for name, mean in means.items()}
    found |= {f"{name}_std": deviation for name, deviation in deviations.items()}
    return found


def export(solution: Solution, path: str | Path, refine: int = 0, points: ArrayLike | None = None) -> Path:
    """Write the fields of a solution; the suffix of the path chooses the format.

    Coarse meshes are refined until a curved field looks curved, see `make_canvas`. Without a mesh, csv and npz hold
    10,000 Sobol points.

    Args:
        solution: what to write.
        path: .vtu, .pvd (which writes the .vtu beside it), .xdmf, .csv or .npz; replaced atomically.
        refine: refinements of the output mesh beyond the default, 0 to 4.
        points: coordinates [n, d] to write instead of a mesh.

    Returns:
        the path written.

    Raises:
        InputError: an unknown suffix, too fine a mesh, or vtu and xdmf in more than three dimensions.
        StorageError: the file could not be written.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise InputError(f"the format of {path.name!r} is not known; end the name in {', '.join(WRITERS)}")
    if not 0 <= refine <= 4:
        raise InputError(f"refine is from 0 to 4, got {refine}")
    WRITERS[path.suffix](_gather(solution, path.suffix, refine, points), path)
    return path


def _gather(solution: Solution, suffix: str, refine: int, points: ArrayLike | None) -> Fields:
    domain = solution.problem.domain
    if points is not None:
        return fields_at(solution, points)
    if domain.mesh is None and suffix in (".csv", ".npz"):
        sampled = Inside(domain).points(0, SAMPLES).take(range(SAMPLES))
        return fields_at(solution, sampled.x)
    return fields_on(solution, make_canvas(domain, refine))


def _write_pvd(fields: Fields, path: Path) -> None:
    """Write the .vtu first, so that the collection never points to nothing."""
    target = path.with_suffix(".vtu")
    write_atomic(target, formats.vtu(fields.x, fields.mesh, fields.values, fields.cell_values))
    write_atomic(path, formats.pvd(target.name))


WRITERS: Final[Mapping[str, Callable[[Fields, Path], None]]] = {
    ".vtu": lambda f, path: write_atomic(path, formats.vtu(f.x, f.mesh, f.values, f.cell_values)),
    ".pvd": _write_pvd,
    ".xdmf": lambda f, path: write_atomic(path, formats.xdmf(f.x, f.mesh, f.values, f.cell_values)),
    ".csv": lambda f, path: write_atomic(path, formats.csv(f.x, f.values, axis_names(f.x.shape[1]))),
    ".npz": lambda f, path: write_atomic(path, formats.npz(f.x, f.mesh, f.values, f.cell_values)),
}
"""Suffix → how fields are written."""


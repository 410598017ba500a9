"""Export of fields of a problem in time, and evaluation at points and instants; `write` and `table_at` take any solution."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpinn.errors import InputError
from vpinn.output import formats
from vpinn.output.canvas import make_canvas
from vpinn.output.fields import Fields, export, fields_at, fields_on
from vpinn.run_files import check_target
from vpinn.solution import Solution
from vpinn.solution_in_time import SolutionInTime
from vpinn.storage import write_atomic

Array = NDArray[np.float64]


def export_in_time(solution: SolutionInTime, path: Path, refine: int = 0, points: ArrayLike | None = None) -> list[Path]:
    """Write the fields of a solution in time to files; the suffix of the path chooses the format.

    A .pvd file is a ParaView collection of .vtu files, which are written beside it, one per instant. A .csv or .npz file holds
    all instants and has a column t. A .vtu or .xdmf file holds the last instant only.

    Args:
        solution: The solution to write.
        path: File with suffix .pvd, .csv, .npz, .vtu or .xdmf; replaced atomically if it exists.
        refine: Number of refinements of the output mesh beyond the automatic ones, 0 to 4.
        points: Coordinates and instants [n, d + 1] at which to write the fields, instead of on a mesh; for .csv and .npz only.

    Returns:
        Paths of the files written.

    Raises:
        InputError: The suffix is unknown, the format cannot hold points with time, or the mesh would be too fine.
        StorageError: A file could not be written.
    """
    if points is not None and path.suffix not in (".csv", ".npz"):
        raise InputError(f"values at points and instants are written as .csv or .npz, got {path.name!r}")
    if path.suffix == ".pvd":
        return _collection(solution, path, refine)
    if path.suffix not in (".csv", ".npz"):
        return [export(solution.snapshot(solution.times[-1]), path, refine)]
    check_target(path)
    fields = _all_instants(solution, refine) if points is None else fields_in_time(solution, points)
    content = formats.csv(fields.x, fields.values, fields.axes) if path.suffix == ".csv" else _npz(fields)
    write_atomic(path, content)
    return [path]


def is_timed(solution: Solution) -> bool:
    """Return whether a solution depends on time."""
    return isinstance(solution, SolutionInTime)


def write(solution: Solution, path: Path, refine: int = 0, points: ArrayLike | None = None) -> None:
    """Write the fields of a steady or time-dependent solution to files; see `export` and `export_in_time`."""
    if isinstance(solution, SolutionInTime):
        export_in_time(solution, path, refine, points)
    else:
        export(solution, path, refine, points)


def table_at(solution: Solution, points: ArrayLike, as_csv: bool) -> str:
    """Return values and gradients at points, with the coordinates of the problem, as text: aligned columns or comma-separated."""
    fields = fields_along(solution, points)
    if as_csv:
        return formats.csv(fields.x, fields.values, fields.axes).decode().rstrip()
    return formats.aligned(fields.x, fields.values, fields.axes)


def fields_along(solution: Solution, points: ArrayLike) -> Fields:
    """Return all fields at points, with instants if the solution depends on time; see `fields_at` and `fields_in_time`."""
    return fields_in_time(solution, points) if isinstance(solution, SolutionInTime) else fields_at(solution, points)


def fields_in_time(solution: SolutionInTime, x: ArrayLike) -> Fields:
    """Return values and gradients at points and instants [n, d + 1], t last; values outside the domain are nan.

    Raises:
        InputError: The array does not have d coordinates and an instant per point.
    """
    rows, d = np.atleast_2d(np.asarray(x, dtype=np.float64)), solution.posed.domain.dimension
    if rows.ndim != 2 or rows.shape[1] != d + 1:
        raise InputError(f"points need {d} coordinates and t each, got an array of shape {list(np.shape(x))}")
    values = dict(solution.evaluate(rows))
    values |= {f"grad_{name}": slopes for name, slopes in solution.gradient(rows).items()}
    return Fields(rows, None, solution.coordinates, values)


def _collection(solution: SolutionInTime, path: Path, refine: int) -> list[Path]:
    """Write a .vtu file per instant and then the collection, so that it never names a missing file; return their paths."""
    written, entries = [], []
    digits = len(str(len(solution.times) - 1))
    for number, t in enumerate(solution.times):
        target = path.with_name(f"{path.stem}_{number:0{digits}}.vtu")
        export(solution.snapshot(t), target, refine)
        written.append(target)
        entries.append(f'    <DataSet timestep="{t:.17g}" part="0" file={quoteattr(target.name)}/>\n')
    head = '<?xml version="1.0"?>\n<VTKFile type="Collection" version="0.1">\n  <Collection>\n'
    write_atomic(path, (head + "".join(entries) + "  </Collection>\n</VTKFile>\n").encode())
    return [path, *written]


def _all_instants(solution: SolutionInTime, refine: int) -> Fields:
    """Return the fields at the nodes of the output mesh at all instants, concatenated; time is the last coordinate."""
    canvas = make_canvas(solution.posed.domain.with_cells(), refine)
    parts = [fields_on(solution.snapshot(t), canvas) for t in solution.times]
    x = np.concatenate(
        [np.column_stack([part.x, np.full(len(part.x), t)]) for part, t in zip(parts, solution.times, strict=True)]
    )
    names = set.intersection(*(set(part.values) for part in parts))
    values = {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values if name in names}
    return Fields(x, None, solution.coordinates, values)


def _npz(fields: Fields) -> bytes:
    """Return a numpy archive of coordinates x [n, d], instants t [n] and the fields."""
    return formats.npz(np.ascontiguousarray(fields.x[:, :-1]), None, {"t": fields.x[:, -1], **fields.values}, {})

"""Reference values: a CSV file with the values of the unknowns at points, read and checked before anything is solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Domain, located_points
from vpinn.errors import InputError
from vpinn.problem.columns import places, read_columns
from vpinn.problem.locations import file_inside
from vpinn.problem.schema import Settings
from vpinn.problem.source import Source
from vpinn.problem.unknown import Unknown
from vpinn.problem.wording import closest, printable


@dataclass(frozen=True, eq=False)
class ReferenceValues:
    """Known values of the unknowns at points.

    Attributes:
        points: coordinates of the points [n, d], in units of the mesh; for a problem in time [n, d + 1] with t last.
        values: unknown → its components at the points [n, components].
        outside: number of points of the file that were left out because they lie outside the domain or the time span.
    """

    points: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]
    outside: int


def given_reference(
    settings: Settings, source: Source, domain: Domain, folder: Path, unknowns: Sequence[Unknown]
) -> ReferenceValues | None:
    """Return the values of the true solution from a file, if the problem file names one."""
    if settings.reference.file is None:
        return None
    with source.located("reference", "file"):
        span = None if settings.domain is None else settings.domain.time
        shapes = {unknown.name: unknown.shape for unknown in unknowns}
        return read_reference(file_inside(folder, settings.reference.file), domain, shapes, span)


def read_reference(
    path: Path, domain: Domain, unknowns: dict[str, tuple[int, ...]], span: tuple[float, float] | None = None
) -> ReferenceValues:
    """Return the reference values of a CSV file.

    Its columns are the coordinates x, y, … (x0, x1, … beyond three dimensions), t for a problem in time, and the values: u for a
    scalar unknown u, w0, w1, … for the components of an unknown w. Columns with other names are ignored.

    Args:
        path: CSV file with a header line, of at most 200 MB.
        domain: domain of the problem.
        unknowns: name → shape.
        span: start and end of a problem in time; None for a steady problem.

    Raises:
        InputError: a column is missing or contains something else than numbers, or no point lies in the domain.
    """
    where, d = printable(str(path), 200), domain.dimension
    columns = read_columns(path, "the reference")
    listed = printable(", ".join(columns), 200)
    coordinates = (*domain.axes, *(("t",) if span is not None else ()))
    points = places(columns, coordinates, "the reference", where)
    whole: dict[str, list[str]] = {}
    parts: list[str] = []
    for name, shape in unknowns.items():
        wanted = [f"{name}{k}" for k in range(shape[0])] if shape else [name]
        lacking = [column for column in wanted if column not in columns]
        if not lacking:
            whole[name] = wanted
        elif len(lacking) < len(wanted):
            parts += lacking
    others = [column for column in columns if column not in coordinates]
    if not whole:
        near = closest(printable(others[0]), unknowns) if len(others) == 1 else ""
        names = ", ".join(unknowns)
        raise InputError(f"the reference has no column of an unknown ({names}); its columns are {listed}{near}", where)
    if parts:
        raise InputError(
            f"the reference has no column {', '.join(parts)}, but others of this unknown; its columns are {listed}", where
        )
    inside = located_points(domain, points[:, :d])[1]
    if span is not None:
        inside &= (points[:, d] >= span[0]) & (points[:, d] <= span[1])
    if not inside.any():
        raise InputError("no point of the reference lies inside the domain; check its coordinates", where)
    values = {name: np.stack([columns[column] for column in wanted], axis=1)[inside] for name, wanted in whole.items()}
    return ReferenceValues(points[inside], values, int((~inside).sum()))

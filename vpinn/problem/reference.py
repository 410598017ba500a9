"""Reference values: a CSV file with the values of the unknowns at points, read and checked before anything is solved."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Domain, located_points
from vpinn.errors import InputError
from vpinn.problem.wording import closest, printable
from vpinn.storage import open_regular

MAX_BYTES = 200_000_000


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
    columns = _read_columns(path, where)
    listed = printable(", ".join(columns), 200)
    coordinates = (*domain.axes, *(("t",) if span is not None else ()))
    missing = [name for name in coordinates if name not in columns]
    if missing:
        raise InputError(f"the reference has no column {', '.join(missing)}; its columns are {listed}", where)
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
    points = np.stack([columns[name] for name in coordinates], axis=1)
    inside = located_points(domain, points[:, :d])[1]
    if span is not None:
        inside &= (points[:, d] >= span[0]) & (points[:, d] <= span[1])
    if not inside.any():
        raise InputError("no point of the reference lies inside the domain; check its coordinates", where)
    values = {name: np.stack([columns[column] for column in wanted], axis=1)[inside] for name, wanted in whole.items()}
    return ReferenceValues(points[inside], values, int((~inside).sum()))


def _read_columns(path: Path, where: str) -> dict[str, NDArray[np.float64]]:
    """Return the columns of a CSV file by their names in the header."""
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"the reference is larger than {MAX_BYTES // 10**6} MB; thin it out", where)
        reader = csv.reader(content.decode("utf-8-sig").splitlines())
        header: Sequence[str] = [name.strip() for name in next(reader, [])]
        rows = [[float(cell) for cell in row] for row in reader if row]
        table = np.array(rows, dtype=np.float64).reshape(-1, len(header) or 1)
    except (OSError, ValueError, csv.Error) as error:
        reason = printable(str(error), 200)
        raise InputError(f"the reference cannot be read as numbers under a header line: {reason}", where) from None
    if not header or not len(table) or not np.isfinite(table).all():
        raise InputError("the reference has no rows, or values that are not finite", where)
    if twice := [name for k, name in enumerate(header) if name in header[:k]]:
        raise InputError(f"the reference has more than one column {printable(twice[0])!r}; leave one out", where)
    return dict(zip(header, table.T, strict=True))

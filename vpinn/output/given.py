"""Reading of evaluation points that a user gives: with ``--at`` as text or a csv file, or with ``--line``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError
from vpinn.problem.constants import is_number
from vpinn.problem.wording import printable

MAX_BYTES = 200_000_000
ALONG = 101
"""Number of points on a line if none is given."""
MOST_ALONG = 1_000_000
"""Largest number of points on a line."""


def points_of(given: Sequence[str], coordinates: Sequence[str]) -> NDArray[np.float64]:
    """Return the points [n, k] that ``--at`` options give.

    Args:
        given: Values of the options: each a point such as "0.5,0.5", or the path of a csv file; see `read_points`.
        coordinates: Names of the k coordinates of a point.

    Raises:
        InputError: A value is neither a list of numbers nor a file, or a point has the wrong number of coordinates.
    """
    parts = []
    for text in given:
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            parts.append(read_points(Path(text), coordinates))
            continue
        parts.append(_checked([numbers], coordinates, "--at"))
    return np.concatenate(parts)


def line_of(text: str, coordinates: Sequence[str]) -> NDArray[np.float64]:
    """Return evenly spaced points on a straight line [n, k], ends included.

    Args:
        text: its ends, and how many points if not 101: "0,0:1,0" or "0,0:1,0:11".
        coordinates: Names of the k coordinates of a point.

    Raises:
        InputError: The text has another form, an end the wrong number of coordinates, or there are less than two points.
    """
    ends, count = text.split(":"), ALONG
    try:
        if len(ends) == 3:
            count = int(ends.pop())
        first, last = ([float(part) for part in end.split(",")] for end in ends)
    except ValueError:
        told = 'expected two points, as in "0,0:1,0", or "0,0:1,0:11" for 11 points'
        raise InputError(f"{told}, got {printable(text)!r}", "--line") from None
    if not 2 <= count <= MOST_ALONG:
        raise InputError(f"a line has 2 to {MOST_ALONG:,} points, got {count}", "--line")
    return np.linspace(_checked([first], coordinates, "--line")[0], _checked([last], coordinates, "--line")[0], count)


def read_points(path: Path, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the points of a csv file [n, k].

    If the file has a header, its columns with the k names are read in any order; without one, the first k columns.

    Raises:
        InputError: There is no such file, it is too large, a column is missing, or a line (named) holds not only numbers.
    """
    where = str(path)
    try:
        if not path.is_file():
            message = 'expected a point such as "0.5,0.5", or an existing csv file of points'
            raise InputError(message, f"--at {printable(where)}")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"larger than {MAX_BYTES // 10**6} MB; split the file", where)
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), 1) if any(cell.strip() for cell in line)]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", printable(where)) from None
    columns: Sequence[int] = range(len(names))
    if lines and not is_number(lines[0][1][0]):
        header = [cell.strip() for cell in lines.pop(0)[1]]
        missing = [name for name in names if name not in header]
        if missing:
            raise InputError(f"no column {', '.join(missing)}; the columns are {printable(', '.join(header))}", f"{where}:1")
        columns = [header.index(name) for name in names]
    if not lines:
        raise InputError("the file holds no points; give one point per line", where)
    rows = []
    for number, line in lines:
        try:
            rows.append([float(line[column]) for column in columns])
        except (ValueError, IndexError):
            raise InputError(f"expected {len(names)} numbers, got {printable(','.join(line))!r}", f"{where}:{number}") from None
    return _checked(rows, names, where)


def _checked(rows: Sequence[Sequence[float]], names: Sequence[str], where: str) -> NDArray[np.float64]:
    points, count = np.array(rows, dtype=np.float64), len(names)
    if points.shape[1] != count:
        wanted = f"{count} coordinate{'s' * (count > 1)} ({', '.join(names)})"
        raise InputError(f"a point has {wanted}, got {points.shape[1]}", where)
    if not np.isfinite(points).all():
        raise InputError("a coordinate is not a finite number; correct it", where)
    return points

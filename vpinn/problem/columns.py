"""CSV files of numbers: columns of references, measurements and known fields, and lists of constants."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError
from vpinn.problem.wording import printable
from vpinn.storage import open_regular

MAX_BYTES = 200_000_000
Columns = Mapping[str, NDArray[np.float64]]
"""Name in the header → numbers [rows]."""


def read_columns(path: Path, what: str) -> dict[str, NDArray[np.float64]]:
    """Return the columns of a CSV file by their names in the header.

    Args:
        path: file with a header line, of at most 200 MB.
        what: what it holds in messages, as in "the reference".

    Raises:
        InputError: it is too large, has no rows, or contains something else than finite numbers.
    """
    where = printable(str(path), 200)
    try:
        with open_regular(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig") as text:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise InputError(f"{what} is larger than {MAX_BYTES // 10**6} MB; thin it out", where)
            header = [name.strip() for name in next(filter(None, csv.reader(text)), [])]
            with warnings.catch_warnings(action="ignore"):  # of no rows, which are told below
                table = np.loadtxt(text, delimiter=",", quotechar='"', comments=None, ndmin=2)
        if len(table) and table.shape[1] != len(header):
            raise ValueError(f"rows of {table.shape[1]} under {len(header)} names")
    except (OSError, ValueError, csv.Error) as error:
        reason = printable(str(error), 200)
        raise InputError(f"{what} cannot be read as numbers under a header line: {reason}", where) from None
    if not len(table) or not np.isfinite(table).all():
        raise InputError(f"{what} has no rows, or values that are not finite", where)
    if twice := [name for k, name in enumerate(header) if name in header[:k]]:
        raise InputError(f"{what} has more than one column {printable(twice[0])!r}; leave one out", where)
    return dict(zip(header, table.T, strict=True))


def rows_of(path: Path, most: int, what: str) -> list[list[str]]:
    """Return the rows of a CSV file, without empty ones.

    Raises:
        InputError: it has more than ``most`` bytes.
        OSError, ValueError, csv.Error: it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{what} is larger than {most // 10**6} MB; thin it out", printable(str(path), 200))
    return [row for row in csv.reader(content.decode("utf-8-sig").splitlines()) if row]


def places(columns: Columns, names: Sequence[str], what: str, where: str) -> NDArray[np.float64]:
    """Return the coordinates in the columns of some names [rows, names].

    Raises:
        InputError: one is missing.
    """
    if missing := [name for name in names if name not in columns]:
        listed = printable(", ".join(columns), 200)
        raise InputError(f"{what} has no column {', '.join(missing)}; its columns are {listed}", where)
    return np.stack([columns[name] for name in names], axis=1)

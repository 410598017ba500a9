"""Functions to fuzz that read texts and files: each takes any bytes, and must return or raise an error of one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import ufl

from vpinn.domain import rectangle
from vpinn.errors import InputError, StorageError, VpinnError
from vpinn.optimization import load_arrays
from vpinn.output.given import read_points
from vpinn.problem import Scope, make_scope, make_symbols, parse_expression, parse_form
from vpinn.problem.reference import read_reference
from vpinn.problem.source import read_source
from vpinn.problem.validation import validate
from vpinn.run_files import read_json

SECONDS = 2.0
"""Processor time that none may take."""
SOUND = """
[domain]
shape = "rectangle"
[unknowns]
u = "scalar"
[form]
energy = "u*dx"
[[boundary]]
on = "all"
value = 0
"""


@cache
def scope() -> Scope:
    """Return the names of a problem in two dimensions."""
    symbols = make_symbols(2)
    found = make_scope(symbols, ("left", "right"), ("steel",)).define("kappa", ufl.as_ufl(2.5))
    found = found.define("u", symbols.coefficient()).define("v", symbols.test_function())
    return found.define("w", symbols.coefficient((2,))).define("q", symbols.test_function((2,), 1))


def expression(data: bytes, folder: Path) -> None:
    """Translate an expression."""
    parse_expression(data.decode("utf-8", "replace"), scope())


def form(data: bytes, folder: Path) -> None:
    """Translate a form."""
    parse_form(data.decode("utf-8", "replace"), scope())


def toml(data: bytes, folder: Path) -> None:
    """Read a problem file, and check it against the schema."""
    (folder / "a.toml").write_bytes(data)
    source = read_source(folder / "a.toml")
    validate(source)


def override(data: bytes, folder: Path) -> None:
    """Apply ``--set`` options, one per line, to a valid file."""
    (folder / "b.toml").write_text(SOUND)
    validate(read_source(folder / "b.toml", data.decode("utf-8", "replace").split("\n")))


def points(data: bytes, folder: Path) -> None:
    """Read points of ``--at``."""
    (folder / "points.csv").write_bytes(data)
    read_points(folder / "points.csv", "xy")


def reference(data: bytes, folder: Path) -> None:
    """Read reference values."""
    (folder / "reference.csv").write_bytes(data)
    read_reference(folder / "reference.csv", rectangle(cells=1), {"u": (), "w": (2,)})


def checkpoint(data: bytes, folder: Path) -> None:
    """Read a checkpoint."""
    (folder / "checkpoint.npz").write_bytes(data)
    load_arrays(folder / "checkpoint.npz")


def record(data: bytes, folder: Path) -> None:
    """Read a record of a run."""
    (folder / "run.json").write_bytes(data)
    read_json(folder / "run.json")


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    read.__name__: read for read in (expression, form, toml, override, points, reference, checkpoint, record)
}


def tried(name: str, data: bytes, folder: Path) -> bool:
    """Return whether a target accepts some bytes.

    Raises:
        AssertionError: it took too long, or its message is not one printable line.
        Exception: it ended by an error that is none of ours.
    """
    began = time.process_time()
    try:
        TARGETS[name](data, folder)
    except (InputError, StorageError) as error:
        _check(error)
        return False
    finally:
        spent = time.process_time() - began
        assert spent < SECONDS, f"{spent:.1f} s"
    return True


def _check(error: VpinnError) -> None:
    text = str(error)
    assert "\n" not in text, f"not one line: {text!r}"
    assert len(text) < 900, f"{len(text)} characters: {text[:100]!r}"

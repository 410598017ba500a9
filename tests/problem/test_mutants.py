"""Problem files a few edits away from a sound one: a problem or one InputError, never anything else."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from vpinn.domain import rectangle
from vpinn.errors import InputError
from vpinn.problem import template
from vpinn.problem.build import build_problem
from vpinn.problem.places import key_lines
from vpinn.problem.source import Source, parse
from vpinn.problem.validation import validate

TOKENS = [
    '"',
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "#",
    "\n",
    " ",
    "0",
    "-1",
    "1e999",
    "nan",
    "true",
    "u",
    "x",
    "dx",
    "[[",
    "]]",
    '"""',
    "\\",
    "\x07",
    "é",
]


def mutant(generator: random.Random, text: str) -> str:
    lines = text.split("\n")
    for _ in range(generator.randint(1, 3)):
        row, other = generator.randrange(len(lines)), generator.randrange(len(lines))
        column = generator.randint(0, len(lines[row]))
        match generator.randrange(5):
            case 0:
                lines[row], lines[other] = lines[other], lines[row]
            case 1:
                lines[row] = lines[other]
            case 2:
                lines[row] = lines[row][:column] + generator.choice(TOKENS) + lines[row][column:]
            case 3:
                lines[row] = lines[row][:column] + lines[row][column + generator.randint(1, 4) :]
            case _:
                lines[row] = lines[row].replace("# ", "", 1)
    return "\n".join(lines)


@pytest.mark.parametrize("count", [400, pytest.param(100_000, marks=pytest.mark.slow)])
def test_mutants(count: int) -> None:
    generator, mesh, accepted = random.Random(1), rectangle(cells=2), 0
    for _ in range(count):
        text = mutant(generator, template("plate"))
        start = time.process_time()
        try:
            data = parse(text, "plate.toml")
            source = Source(Path("plate.toml"), text, data, key_lines(text))
            build_problem(source, validate(source), Path(), mesh)
            accepted += 1
        except InputError as error:
            if not str(error).isprintable() or not error.where.startswith("plate.toml"):
                raise AssertionError(f"not one line with its place: {error!r}") from error
        assert time.process_time() - start < 2, text
    assert 0.05 * count < accepted < 0.9 * count

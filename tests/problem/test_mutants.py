"""Test that problem files with a few random edits lead to a problem or to an InputError, and nothing else."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.reliability.mutants import problem_mutant
from vpinn.domain import rectangle
from vpinn.errors import InputError
from vpinn.problem import template
from vpinn.problem.build import build_problem
from vpinn.problem.places import key_lines
from vpinn.problem.source import Source, parse
from vpinn.problem.validation import validate


@pytest.mark.parametrize("count", [200, pytest.param(100_000, marks=pytest.mark.slow)])
def test_mutants(count: int) -> None:
    generator, mesh, accepted = random.Random(1), rectangle(cells=2), 0
    for _ in range(count):
        text = problem_mutant(generator, template("plate"))
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

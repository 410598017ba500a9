"""Test that an interrupted noise report continues to the same result, and that its folder is not used by another."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.cli import main
from vpinn.errors import InputError, StorageError
from vpinn.noise import Curve, Effort, Finding, Record, begin, measure_noise
from vpinn.noise.pilot import RateTrial
from vpinn.problem import make_problem

SMALL = Effort(1e5, 10, 60, 20, 60, (0.5, 1), drawn=20_000)
QUESTION = {"network": {"layers": [6]}, "effort": {"multiples": (0.5, 1)}, "files": {}}
VALUES = {
    "numbers": (1.5, math.inf, 3, True, None, "text", [0.1 + 0.2, -0.0]),
    "rows": np.arange(6.0).reshape(2, 3),
    "theta": torch.tensor([math.pi, -0.0], dtype=torch.float64),
    "found": [Finding(3, "q", math.nan, 1.0, reason="r", outside="o")],
    "curves": {"a": Curve(np.ones(2), np.zeros(2), predicted={"line": np.ones(2)})},
    "trial": RateTrial(1e-3, math.inf, [torch.ones(2, dtype=torch.float64)], [0.1]),
}


class Killed(Exception):
    """Raised in place of the end of the process."""


def same(a: Any, b: Any) -> bool:
    """Return whether two results agree in type and value to the last bit, nan and arrays included."""
    return type(a) is type(b) and repr(plain(a)) == repr(plain(b))


def plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | torch.Tensor):
        return np.asarray(value).tolist()
    if isinstance(value, Finding | Curve | RateTrial):
        return type(value).__name__, plain(vars(value))
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", VALUES)
def test_a_part_is_read_as_it_was_found(name: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)

    def find() -> Any:
        generator.normal(size=5)
        return VALUES[name]

    assert begin(tmp_path, QUESTION, False, False).part(name, find, generator) is VALUES[name]
    after = generator.random()
    again = np.random.default_rng(0)
    found = begin(tmp_path, QUESTION, True, False).part(name, lambda: pytest.fail("measured again"), again)
    assert same(found, VALUES[name])
    assert again.random() == after


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Callable[[Record | None], dict[str, Any]]:
    """Return a function that makes a small report, with a clock that advances by a fixed amount at every reading."""
    ticks = count()
    monkeypatch.setattr("time.process_time", lambda: next(ticks) * 2.0**-10)
    problem = make_problem(
        {"shape": "rectangle", "cells": [3, 3], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - sin(3*x)*u*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [4]},
        quadrature={"degree": 3},
    )
    return lambda record: measure_noise(problem, SMALL, record=record).as_dict()


@pytest.mark.slow
def test_a_report_that_was_stopped_after_any_part_ends_as_if_nothing_had_happened(
    measure: Callable[[Record | None], dict[str, Any]], tmp_path: Path
) -> None:
    whole = begin(tmp_path / "whole", QUESTION, False, False)
    expected = measure(whole)
    forgetful = begin(tmp_path / "forgetful", QUESTION, False, False)
    for number, name in enumerate(whole.parts):
        record = begin(tmp_path / "run", QUESTION, number > 0, False)
        keep = record.keep

        def stop(record: Record, keep: Callable[[Record], None] = keep) -> None:
            keep(record)
            raise Killed

        record.keep = stop
        with pytest.raises(Killed):
            measure(record)
        assert list(record.parts)[-1] == name
    assert measure(begin(tmp_path / "run", QUESTION, True, False)) == expected
    state = whole.parts["gradients at the start"]["generator"]
    forgetful.parts = {name: {**part, "generator": state} for name, part in whole.parts.items()}
    del forgetful.parts["where noise leads"]
    assert measure(forgetful) != expected  # a record without the generators' states


@pytest.mark.parametrize("name", ["noise.json", "recommendation.toml", "report.html", "figures"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_no_report_wrote_stay(name: str, overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"findings": 3' if name == "noise.json" else "mine")
    with pytest.raises(InputError, match="no report wrote it"):
        begin(tmp_path, QUESTION, False, overwrite)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_becomes_of_a_report_has_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no report to resume"):
        begin(tmp_path, QUESTION, True, False)
    begin(tmp_path, QUESTION, False, False)
    with pytest.raises(InputError, match="holds a report already"):
        begin(tmp_path, QUESTION, False, False)
    begin(tmp_path, QUESTION, True, False)
    with pytest.raises(InputError, match="but network changed"):
        begin(tmp_path, {**QUESTION, "network": {"layers": [7]}}, True, False)
    begin(tmp_path, {**QUESTION, "network": {"layers": [7]}}, False, True)
    (tmp_path / "noise.npz").write_bytes((tmp_path / "noise.npz").read_bytes()[:-20])
    with pytest.raises(StorageError, match="damaged"):
        begin(tmp_path, QUESTION, True, False)


def test_reports_of_before_there_were_records_are_ours(tmp_path: Path) -> None:
    (tmp_path / "noise.json").write_text(json.dumps({"findings": []}))
    (tmp_path / "recommendation.toml").write_text("")
    with pytest.raises(InputError, match="holds a report already"):
        begin(tmp_path, QUESTION, False, False)
    begin(tmp_path, QUESTION, False, True)


def test_both_ways_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["noise", str(tmp_path / "none.toml"), "--resume", "--overwrite"]) == 2
    assert "give one of them" in capsys.readouterr().err

"""Test windows of features: drawn where the residual is large, used if they lower it, and stored in the run folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.domain import rectangle
from vpinn.features import Objectives, direct, objective_for
from vpinn.features.patches import windows
from vpinn.features.recipes import Recipe
from vpinn.placement import HERE
from vpinn.solving import solve
from vpinn.trial import Features, make_trial

PEAK = "exp(-600*((x - 0.3)**2 + (y - 0.6)**2))"
WEAK = {"weak": "(inner(grad(u), grad(v)) - f*v)*dx"}
STRONG = {"strong": "-div(grad(u)) - f"}


FILE = f"""
[domain]
shape = "rectangle"
cells = [10, 10]
cell = "quadrilateral"

[unknowns]
u = "scalar"

[expressions]
g = "{PEAK}"
f = "-div(grad(g))"

[form]
weak = "{WEAK["weak"]}"

[[boundary]]
on = "all"
value = "g"

[reference]
exact = {{ u = "g" }}

[solver]
method = "least-squares"
"""


def peaked(truth: str = PEAK, form: Any = WEAK) -> vpinn.Problem:
    return vpinn.make_problem(
        rectangle(cells=10, cell="quadrilateral"),
        unknowns={"u": "scalar"},
        expressions={"g": truth, "f": "-div(grad(g))"},
        boundary=[{"on": "all", "value": "g"}],
        reference={"exact": {"u": "g"}},
        solver={"method": "least-squares"},
        **form,
    )


def drawn(problem: vpinn.Problem, count: int) -> np.ndarray:
    """Return windows drawn for the residual without features."""
    trial = make_trial(problem, rows=True)
    objective = objective_for(Objectives(problem, HERE), trial, 60, 0.0, 5)
    network = Recipe("sin", 1.0).features(trial.network, 60, problem.domain)
    objective = replace(objective, measures=tuple(replace(m, network=network) for m in objective.measures))
    theta = torch.zeros(network.size, dtype=torch.float64)
    return np.array(windows(objective, network, theta, count, np.random.default_rng(0)))


@pytest.mark.parametrize("form", [WEAK, STRONG])
def test_windows_are_where_the_residual_is(form: Any) -> None:
    found = drawn(peaked(form=form), 200)
    assert found.shape == (200, 3)
    away = np.linalg.norm(found[:, :2] - [0.3, 0.6], axis=1)
    assert away.max() <= 0.25
    assert np.median(away) <= 0.07
    assert found[:, 2].min() >= 0.03  # a cell is 0.1 wide, and tests are of degree five


def test_a_residual_that_is_spread_has_no_windows() -> None:
    assert drawn(peaked("sin(3*x)*cos(2*y)"), 200).size == 0


@pytest.mark.slow
def test_a_peak_is_found_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-3; without windows, features of one scale all over leave more than 1e-2."""
    monkeypatch.setattr(direct, "WIDTHS", (200, 560))
    file = tmp_path / "peak.toml"
    file.write_text(FILE)
    found = solve(vpinn.read_problem(file), tmp_path / "run", threads=1)
    network = found.trial.network
    assert isinstance(network, Features)
    assert len(network.patches) > 0
    assert found.errors["u"]["relative_l2"] <= 1e-3
    assert found.error_estimate["effectivity"] == pytest.approx(1.0, abs=0.3)
    again = vpinn.load(tmp_path / "run")
    x = np.random.default_rng(0).random((50, 2))
    np.testing.assert_array_equal(again.evaluate(x)["u"], found.evaluate(x)["u"])

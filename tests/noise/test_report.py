"""The report on small problems: findings for every item, agreement where the theory is exact, settings that are valid."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.errors import InputError
from vpinn.noise import Curve, Effort, Finding, NoiseReport, measure_noise
from vpinn.noise.draws import cost_of, samplers_for
from vpinn.noise.population import population
from vpinn.objective import make_objective
from vpinn.output.noise import PANELS, noise_markdown, noise_table, publish_noise
from vpinn.problem import make_problem
from vpinn.trial import make_trial

SMALL = Effort(400, 10, 60, 1200, 40, 60, (0.5, 1, 2), probes=120, falls=100)
FORMS = {
    "energy": {"energy": "0.5*inner(grad(u), grad(u))*dx - sin(3*x)*u*dx"},
    "weak": {"weak": "inner(grad(u), grad(v))*dx - sin(3*x)*v*dx", "test_space": {"degree": 2}},
    "strong": {"strong": "-div(grad(u)) - sin(3*x)"},
}


def problem_of(form: str, **changed: Any) -> Any:
    return make_problem(
        {"shape": "rectangle", "cells": [4, 4], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [6]},
        **{"quadrature": {"degree": 5}, **FORMS[form], **changed},
    )


@pytest.fixture(scope="module", params=["energy", *(pytest.param(name, marks=pytest.mark.slow) for name in ("strong", "weak"))])
def report(request: pytest.FixtureRequest) -> NoiseReport:
    return measure_noise(problem_of(request.param), SMALL)


def test_every_item_is_there(report: NoiseReport) -> None:
    assert {f.item for f in report.findings} == set(range(1, 16))
    assert all(f.verdict and f.quantity for f in report.findings)
    silent = [f for f in report.findings if not math.isfinite(f.measured)]
    assert all(f.reason for f in silent)
    assert len(silent) <= 4


def test_exact_statements_hold(report: NoiseReport) -> None:
    """Unbiasedness and covariances by closed forms, within five standard errors of 80 draws (squares of weak forms are not)."""
    weak = "residual" not in next(f.reason for f in report.findings if f.quantity.startswith("bias of"))
    for f in report.findings:
        if f.item in (1, 2, 4, 13) and math.isfinite(f.predicted) and not weak:
            assert abs(f.measured - f.predicted) <= max(5 * f.error, 0.02 * f.predicted), f.quantity


def test_settings_are_those_of_a_problem_file(report: NoiseReport) -> None:
    sections = tomllib.loads(report.recommendation)
    assert set(sections) == {"batch", "solver"}
    assert {"method", "learning_rate", "warmup", "clip"} <= set(sections["solver"])
    problem_of("energy", **sections)  # it validates


def test_files(report: NoiseReport, tmp_path: Path) -> None:
    files = publish_noise(report, tmp_path)
    content = json.loads((tmp_path / "noise.json").read_text())
    assert len(content["findings"]) == len(report.findings)
    assert {row["item"] for row in content["findings"]} == set(range(1, 16))
    drawn = {path.stem for path in files if path.suffix == ".png"}
    assert drawn >= {p.file for p in PANELS} - {"search", "progress"}
    assert noise_table(report).row_count == len(report.findings)
    assert noise_markdown(report).count("\n") == len(report.findings) + 2


def test_the_population_has_the_gradient_and_its_variance() -> None:
    """Directions that span everything leave nothing out: Σ of their variances is tr Σ, and so is every closed form."""
    problem = problem_of("energy")
    objective = make_objective(problem, make_trial(problem))
    theta = objective.measures[0].network.initial(torch.Generator().manual_seed(1))
    people = population(objective, theta, np.random.default_rng(0), np.eye(len(theta)))
    assert people.gradient == pytest.approx(objective.gradient(theta)[1].numpy())
    assert people.spread.sum() == pytest.approx(people.trace, rel=1e-10)
    assert people.variance(samplers_for(objective, "uniform", 20)) == pytest.approx(people.trace / 20, rel=1e-10)
    assert population(objective, theta, np.random.default_rng(0), 0).trace == pytest.approx(people.trace, rel=1e-10)
    found = population(objective, theta, np.random.default_rng(0), 12)
    assert found.directions.T @ found.directions == pytest.approx(np.eye(12), abs=1e-10)
    assert found.spread.sum() >= 0.99 * people.trace
    assert found.variance(samplers_for(objective, "stratified", 20)) == pytest.approx(
        people.variance(samplers_for(objective, "stratified", 20)), rel=0.02
    )


def test_verdicts() -> None:
    assert Finding(1, "q", 1.0, 1.05).verdict == "holds"
    assert Finding(1, "q", 1.0, 1.5, 0.2).verdict == "holds within its error"
    assert Finding(1, "q", 1.0, 1.5, 0.3).verdict == "undecided: its error is too large"
    assert Finding(1, "q", 1.0, 1.2, 0.01, "why").verdict == "within 25 %: why"
    assert Finding(1, "q", 1.0, 2.0, 0.01, "why").verdict == "fails: why"
    assert Finding(1, "q", 1.0, math.nan, reason="why").verdict == "not measured: why"
    assert Finding(1, "q", math.nan, 1.0, reason="why").verdict == "measured only: why"
    assert Finding(1, "q", 1.0, math.inf, reason="why").as_row()["measured"] is None
    assert Curve(np.ones(1), np.array([np.nan])).as_dict()["measured"] == [None]


def test_costs_of_a_step() -> None:
    sizes = [10, 100, 1000]
    step, point = cost_of(sizes, 1e-3 + 2e-6 * np.array(sizes))
    assert step == pytest.approx(1e-3)
    assert point == pytest.approx(2e-6)


def test_what_has_no_noise_is_refused() -> None:
    with pytest.raises(InputError, match="zero at every point: there is no noise to measure"):
        measure_noise(problem_of("energy", energy="conditional(lt(u, 1e9), 0, u)*dx"), SMALL)
    with pytest.raises(InputError, match="not finite at the initial weights"):
        measure_noise(problem_of("energy", energy="inner(grad(u), grad(u))*dx + ln(u - 1e6)*dx"), SMALL)
    problem = problem_of("energy")
    objective = make_objective(problem, make_trial(problem))
    with pytest.raises(InputError, match="a batch of one point tells no variance; give 2 or more"):
        samplers_for(objective, "uniform", 1)
    with pytest.raises(InputError, match="batch of one point"):
        measure_noise(problem_of("energy", batch={"size": 1}), SMALL)

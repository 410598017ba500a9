"""Test least squares on drawn points: the accuracy of all points, for any number of them, in constant memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.domain import rectangle
from vpinn.errors import InputError
from vpinn.features import stream
from vpinn.features.least_squares import fit
from vpinn.features.recipes import Recipe
from vpinn.features.stages import with_network
from vpinn.objective import make_objective
from vpinn.problem import Problem, make_problem
from vpinn.sampling import make_sampler
from vpinn.solving import prepare
from vpinn.trial import make_trial

FORMS = {
    "strong": "-div(grad(u)) + u - f",
    "weak": "inner(grad(u), grad(v))*dx + u*v*dx - f*v*dx",
    "energy": "0.5*inner(grad(u), grad(u))*dx + 0.5*u*u*dx - f*u*dx",
}


def made(form: str = "strong", refine: int = 3, size: Any = 512, **solver: Any) -> Problem:
    return make_problem(
        rectangle(cells=4, cell="quadrilateral"),
        unknowns={"u": "scalar"},
        expressions={"u_exact": "sin(pi*x)*sin(2*pi*y)", "f": "-div(grad(u_exact)) + u_exact"},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "u_exact"}},
        quadrature={"degree": 7, "refine": refine},
        batch={"size": size},
        solver={"method": "least-squares", **solver},
        **{form: FORMS[form]},
    )


def test_a_few_points_per_column_do_as_well_as_all() -> None:
    """100 features on 1,536 of 16,384 points: the residual over all is at most √((1 + p/n)/(1 − p/n)) times the least, ± 10 %."""
    problem = made()
    trial = make_trial(problem, rows=True)
    objective = make_objective(problem, trial)
    recipe = Recipe("sin", 4.0)
    network = recipe.features(trial.network, 100, problem.domain)
    theta = recipe.draw(network, problem.domain, torch.Generator().manual_seed(0))
    source = stream.Stream(lambda objective: [make_sampler("stratified", m.points, 512) for m in objective.measures], 0)
    drawn, best = source.fit(objective, network, theta), fit(objective, network, theta)
    assert drawn.points == 1536
    whole = np.sqrt(2 * with_network(objective, network).value(drawn.theta))
    assert 1.0 - 1e-9 <= whole / best.residual <= 1.1 * np.sqrt((1 + 101 / 1536) / (1 - 101 / 1536))
    assert drawn.residual == pytest.approx(whole, rel=0.15)  # it was told by batches that the fit did not see


def test_batches_that_say_something_new_ask_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 points for 61 columns: fresh ones are fitted far worse, and four times as many are drawn."""
    monkeypatch.setattr(stream, "PILOT_ROWS", 1)
    problem = made(refine=2)
    trial = make_trial(problem, rows=True)
    objective = make_objective(problem, trial)
    recipe = Recipe("sin", 4.0)
    network = recipe.features(trial.network, 60, problem.domain)
    theta = recipe.draw(network, problem.domain, torch.Generator().manual_seed(0))
    found = stream.Stream(lambda objective: [make_sampler("uniform", m.points, 64) for m in objective.measures], 0).fit(
        objective, network, theta
    )
    assert found.points in (256, 1024, 4096)


@pytest.mark.parametrize(
    ("form", "refine"), [("strong", 1), ("weak", 0), ("energy", 0), pytest.param("strong", 8, marks=pytest.mark.slow)]
)
def test_problems_are_solved_on_drawn_points(form: str, refine: int) -> None:
    """Of 1,024 points and, refined eight times, of 17 million, 160 features take a few thousand."""
    solution = vpinn.solve(made(form, refine=refine, features=120), threads=1)
    assert solution.errors["u"]["relative_l2"] <= 1e-6
    assert solution.metrics["quadrature_points"] >= 256 * 4**refine


def test_weak_noise_that_stays_is_refused() -> None:
    problem = make_problem(
        rectangle(cells=4),
        unknowns={"u": "scalar"},
        boundary=[{"on": "all", "value": 0}],
        batch={"size": 64, "estimator": "two-batch"},
        solver={"method": "least-squares"},
        weak="inner(grad(u), grad(v))*dx - v*dx",
    )
    with pytest.raises(InputError, match="noise has to vanish at the solution"):
        prepare(problem)

"""Test random walks: the error they measure is the true one, on a ball, a box and in space; equations without walks are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vpinn.analysis.walks import SEED, check_walk, walk_error
from vpinn.domain import Inside
from vpinn.errors import InputError
from vpinn.problem import make_problem
from vpinn.trial import few_trial

U = "x[0]**2*x[1] + 0.3*x[2]**2 + 0.2*x[3]"


def stated(domain: dict[str, Any], strong: str, value: Any = "u_exact", **more: Any) -> Any:
    return make_problem(
        domain,
        unknowns={"u": "scalar"},
        strong=strong,
        expressions={"u_exact": U, **more.pop("expressions", {})},
        boundary=[] if domain["shape"] == "space" else [{"on": "all", "value": value}],
        reference={"exact": {"u": "u_exact"}, "walk": {"points": 30, "walks": 400}},
        **more,
    )


@pytest.mark.parametrize(
    ("domain", "strong"),
    [
        ({"shape": "ball", "dimension": 6, "radius": 2.0}, "-2*div(grad(u)) + 2*div(grad(u_exact))"),
        ({"shape": "hypercube", "dimension": 6, "lower": -1.0}, "div(grad(u)) - div(grad(u_exact))"),
        (
            {"shape": "space", "dimension": 6},
            "-0.5*div(grad(u)) + 0.4*Dx(u, 0) + 2*u + 0.5*div(grad(u_exact)) - 0.4*Dx(u_exact, 0) - 2*u_exact",
        ),
    ],
    ids=["ball", "box", "space"],
)
def test_walks_measure_the_true_error(domain: dict[str, Any], strong: str) -> None:
    """The zero function has the error of relative size one: its own values are zero, so that the error itself is told."""
    problem = stated(domain, strong)
    trial = few_trial(problem, ((),), penalised=True)
    found = walk_error(problem, trial, torch.full((1,), 0.25, dtype=torch.float64))

    x = Inside(problem.domain).points(0, 30, "monte-carlo", SEED).take(range(30)).x
    truth = x[:, 0] ** 2 * x[:, 1] + 0.3 * x[:, 2] ** 2 + 0.2 * x[:, 3] - 0.25
    true = float(np.sqrt((truth**2).mean())) / 0.25
    assert 0.0 < found["deviation"] < 0.5 * true
    assert found["relative"] == pytest.approx(true, abs=3.0 * found["deviation"])


@pytest.mark.parametrize(
    ("domain", "strong"),
    [
        ({"shape": "ball", "dimension": 6}, "-div(grad(u)) + u"),
        ({"shape": "hypercube", "dimension": 6}, "-div((1 + x[0])*grad(u))"),
        ({"shape": "hypercube", "dimension": 6}, "-div(grad(u)) + u**2"),
        ({"shape": "space", "dimension": 6}, "-div(grad(u)) - u"),
        ({"shape": "rectangle"}, "-div(grad(u))"),
    ],
)
def test_equations_without_walks_are_told(domain: dict[str, Any], strong: str) -> None:
    expressions = {"u_exact": "0*x"} if domain["shape"] == "rectangle" else {}
    with pytest.raises(InputError, match="has no walks"):
        check_walk(stated(domain, strong, expressions=expressions, value=0))

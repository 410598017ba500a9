"""Test extra trial functions: coefficients found, conditions still met, singular points refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.domain import Mesh, l_shape, rectangle
from vpinn.errors import InputError
from vpinn.objective import make_objective
from vpinn.problem import Problem, make_problem
from vpinn.trial import make_trial
from vpinn.trial.jacobian import jet_jacobian

CORNER = {
    "expressions": {
        "r": "sqrt(x**2 + y**2)",
        "theta": "3*pi/4 + atan2(-x - y, y - x)",
        "singular": "r**(2/3)*sin(2*theta/3)",
    },
    "network": {"layers": [8], "enrich": ["singular"]},
}


def made(domain: Mesh, **sections: Any) -> Problem:
    return make_problem(domain, **{"unknowns": {"u": "scalar"}, "boundary": [{"on": "all", "value": 0}], **sections})


def test_the_stress_intensity_of_a_corner() -> None:
    """For u = 2.5 r^(2/3) sin(2θ/3) + a smooth function: the coefficient to 1e-6, and u near the corner."""
    exact = "2.5*singular + sin(x)*exp(y)"
    problem = made(
        l_shape(2, "quadrilateral"),
        strong="-div(grad(u))",
        boundary=[{"on": "all", "value": exact}],
        **CORNER,
        solver={"features": 150},
    )
    solution = vpinn.solve(problem, threads=1)
    assert solution.metrics["enrich"]["u"]["singular"] == pytest.approx(2.5, abs=1e-6)
    x = 1e-6 * np.array([[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    angle = np.array([3 / 4, 1 / 4, 5 / 4]) * math.pi
    near = 2.5 * np.hypot(*x.T) ** (2 / 3) * np.sin(2 * angle / 3) + np.sin(x[:, 0]) * np.exp(x[:, 1])
    assert np.abs(solution.evaluate(x)["u"] - near).max() <= 1e-8


def test_an_energy_is_trained_with_extra_functions() -> None:
    """Gradients with respect to all parameters, coefficients included, agree with differences; two components."""
    problem = made(
        rectangle(cells=2),
        unknowns={"w": {"shape": "vector"}},
        energy="(0.5*inner(grad(w), grad(w)) + w[0]*w[1]**2 - x*w[1])*dx",
        boundary=[{"on": "left", "value": [0, 0]}],
        network={"layers": [4], "enrich": ["x*exp(y)", "x**2"]},
    )
    trial = make_trial(problem)
    assert [i.how for i in trial.imposed] == ["exact", "exact"]
    assert trial.network.size == 4 * 3 + 5 * 2 + 4
    theta = trial.network.initial(torch.Generator().manual_seed(0))
    assert not trial.network.coefficients(theta).any()
    theta += 0.3 * torch.randn(len(theta), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    objective = make_objective(problem, trial)
    _, gradient = objective.gradient(theta)
    step = 1e-5 * torch.eye(len(theta), dtype=torch.float64)
    differences = [(objective.value(theta + e) - objective.value(theta - e)) / 2e-5 for e in step]
    assert np.abs(gradient.numpy() - differences).max() <= 1e-8
    keys = [(0, (1,)), (-2, ()), (-4, ())]
    slopes = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    x = torch.rand(5, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rows = jet_jacobian(trial.network, theta, x, keys, slopes)[:, :, trial.network.weights :]
    assert torch.equal(rows[:, :, [1, 3]], slopes[:, 1:].transpose(1, 2))
    assert not rows[:, :, [0, 2]].any()


def test_conditions_hold_beside_extra_functions() -> None:
    """A factor stays where the functions are zero; elsewhere the condition is imposed weakly, never dropped."""
    sections: dict[str, Any] = {"weak": "inner(grad(u), grad(v))*dx - v*dx", "network": {"layers": [8], "enrich": ["x*exp(y)"]}}
    conditions = [{"on": "left", "value": 0}, {"on": "right", "value": 1}]
    domain = rectangle(cells=2)
    how = {i.condition.on: i.how for i in make_trial(made(domain, **sections, boundary=conditions)).imposed}
    assert how == {("left",): "exact", ("right",): "nitsche"}
    rows = {i.condition.on: i.how for i in make_trial(made(domain, **sections, boundary=conditions), rows=True).imposed}
    assert rows == {("left",): "exact", ("right",): "penalty"}
    with pytest.raises(InputError, match="the enrich functions are not zero there"):
        make_trial(made(domain, **sections, boundary=[{"on": "right", "value": 1, "impose": "exact"}]))


@pytest.mark.parametrize(
    ("enrich", "what"),
    [
        ("1/(x - 1/4)", "has no finite value at the point"),
        ("sqrt(y - 0.5)", "has no finite value at the point"),
        ("abs(x - 1/4)**(1/2)", "has no finite gradient at the point"),
        ("abs(x - 1/4)**(3/2)", "has no finite Laplacian at the point"),
    ],
)
def test_singular_points_among_the_quadrature_points(enrich: str, what: str) -> None:
    """On two cells per side the rule of degree one has its points at x = ¼ and ¾."""
    problem = made(
        rectangle(cells=2, cell="quadrilateral"),
        strong="-div(grad(u)) - 1",
        boundary=[],
        quadrature={"degree": 1},
        network={"layers": [4], "enrich": [enrich]},
    )
    with pytest.raises(InputError, match=what):
        make_objective(problem, make_trial(problem))


def test_many_points_at_once() -> None:
    """More points than one evaluation takes at a time are those of their parts."""
    problem = made(l_shape(2), energy="0.5*inner(grad(u), grad(u))*dx - u*dx", **CORNER)
    trial = make_trial(problem)
    theta = torch.linspace(-1, 1, trial.network.size, dtype=torch.float64)
    x = 2 * torch.rand(20_000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1
    with torch.no_grad():
        whole = trial.network.jets(theta, x, [(), (0,)])
        parts = [trial.network.jets(theta, part, [(), (0,)]) for part in torch.split(x, 1_000)]
    assert all(torch.allclose(whole[key], torch.cat([part[key] for part in parts]), atol=1e-13) for key in whole)
    assert (-1, ()) in whole

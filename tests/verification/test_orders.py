"""Test observed convergence orders of everything that needs no training, each with an absolute bound."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vpinn.analysis import TrueError, independent_points
from vpinn.domain import FacetPoints, Mesh, disk, interval, rectangle
from vpinn.forms import Background, evaluate
from vpinn.objective import make_objective
from vpinn.problem import make_problem, make_scope, parse_expression
from vpinn.trial import Evaluator, make_trial


def orders(errors: list[float]) -> NDArray[np.float64]:
    """Return the observed orders from errors on cells that are halved."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


@pytest.mark.parametrize(("cell", "degree", "order"), [("triangle", 3, 4), ("triangle", 5, 6), ("quadrilateral", 3, 4)])
def test_quadrature_of_an_energy(cell: str, degree: int, order: int) -> None:
    """A fixed network's energy on finer meshes: h^(degree + 1), to 1e-6 of its value on the third mesh."""
    values = []
    for cells, rule in ((4, degree), (8, degree), (16, degree), (16, 15)):
        problem = make_problem(
            rectangle((0.0, 0.0), (1.0, 2.0), cells, cell),
            unknowns={"u": "scalar"},
            energy="(0.5*inner(grad(u), grad(u)) + exp(u))*dx - u*ds('top')",
            boundary=[{"on": "left", "value": "y"}],
            network={"layers": [10]},
            quadrature={"degree": rule},
        )
        trial = make_trial(problem)
        theta = 1.5 * trial.network.initial(torch.Generator().manual_seed(1))
        values.append(make_objective(problem, trial).value(theta))
    errors = [abs(v - values[-1]) / abs(values[-1]) for v in values[:-1]]
    assert errors[-1] <= (2e-5 if degree == 3 else 1e-7)
    assert orders(errors)[-1] >= order - 0.2


def test_boundary_values_on_a_mesh() -> None:
    """The lift of smooth values on curved boundaries, of degree 4 on meshes this small: fifth order, 2e-6 on the coarsest."""
    text = "sin(2*x + y)"
    errors = []
    for cells in (4, 8, 16):
        mesh: Mesh = dataclasses.replace(disk(cells=cells), shape=None)
        problem = make_problem(
            mesh,
            unknowns={"u": "scalar"},
            energy="0.5*inner(grad(u), grad(u))*dx",
            boundary=[{"on": "all", "value": text}],
            network={"layers": [3]},
        )
        trial = make_trial(problem)
        facets = FacetPoints(mesh, mesh.facets("all"), 9)
        points = facets.take(range(facets.size))
        lift = Evaluator.of(problem, trial, [problem.unknowns[0].function])(torch.zeros(trial.network.size).double(), points)
        wanted = evaluate([parse_expression(text, make_scope(problem.symbols))], points, Background(mesh))
        errors.append(float(np.abs(lift - wanted).max()))
    assert errors[0] <= 2e-6
    assert np.abs(orders(errors) - 5).max() <= 0.2


def dual_norm_and_error(mesh: Mesh, test_degree: int, **sections: Any) -> tuple[float, float]:
    """Return ‖r‖ on a test space and ‖∇e‖, for a fixed network as an approximation of zero."""
    problem = make_problem(
        mesh,
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [8]},
        test_space={"degree": test_degree},
        quadrature={"degree": 14},
        reference={"exact": {"u": 0}},
        **sections,
    )
    trial = make_trial(problem)
    theta = trial.network.initial(torch.Generator().manual_seed(2))
    truth = TrueError(problem, trial, independent_points(problem, 14))(theta)["u"]["h1_seminorm"]
    return float(np.sqrt(2 * make_objective(problem, trial).value(theta))), truth


@pytest.mark.parametrize(("degree", "meshes"), [(1, (4, 8, 16)), (2, (2, 4, 8)), (3, (2, 4, 8))])
@pytest.mark.parametrize("kind", ["interval", "triangle", "quadrilateral"])
def test_the_dual_norm_of_the_residual(kind: str, degree: int, meshes: tuple[int, ...]) -> None:
    """What a test space of degree p does not see of ‖∇e‖² is O(h^2p), and nothing is seen twice."""
    missed = []
    for cells in meshes:
        mesh = interval(cells=4 * cells) if kind == "interval" else rectangle(cells=cells, cell=kind)
        norm, truth = dual_norm_and_error(mesh, degree)
        assert norm <= truth * (1 + 1e-9)
        missed.append(1 - (norm / truth) ** 2)
    assert missed[-1] <= {1: 0.05, 2: 1e-3, 3: 1e-4}[degree]
    assert abs(orders(missed)[-1] - 2 * degree) <= 0.2 * degree

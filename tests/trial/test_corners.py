"""Test singular functions of corners: exponents, traces and derivatives, and singular problems solved with them by default."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.domain import Mesh, disk, l_shape, rectangle
from vpinn.problem import Problem, make_problem
from vpinn.trial import CornerChart, CornerFunction, Features, make_trial

LAPLACE = "inner(grad(u), grad(v))*dx"


def split_side() -> Mesh:
    """Return the rectangle (0, 2) × (0, 1) with a lower side of two parts."""
    mesh = rectangle((0.0, 0.0), (2.0, 1.0), cells=(6, 3))
    middle = mesh.nodes[mesh.facet_vertices(mesh.facets("all"))].mean(axis=1)
    low, left = middle[:, 1] == 0.0, middle[:, 0] < 1.0
    return replace(mesh.tagged({"free": low & left, "held": low & ~left, "rest": ~low}), shape=None)


def made(domain: Mesh, *tags: str, **sections: Any) -> Problem:
    boundary = [{"on": tag, "value": 0} for tag in tags]
    return make_problem(domain, **{"unknowns": {"u": "scalar"}, "weak": LAPLACE, "boundary": boundary, **sections})


def functions_of(problem: Problem) -> tuple[CornerFunction, ...]:
    network = make_trial(problem, rows=True, corners=True).network
    return network.corners if isinstance(network, Features) else ()


def at(functions: tuple[CornerFunction, ...], x: float, y: float) -> list[tuple[complex, bool]]:
    """Return the exponents of one corner's functions, and whether they have a logarithm."""
    return [(f.solution.exponent, f.solution.logarithm) for f in functions if np.allclose(f.place, (x, y))]


def test_exponents() -> None:
    """kπ/ω with the same kind of condition on both sides, (k − ½)π/ω else; whole ones with a logarithm."""
    whole = functions_of(made(l_shape(2), "all"))
    thirds = [2 / 3, 4 / 3, 2, 8 / 3, 10 / 3, 4]
    assert at(whole, 0, 0) == [(pytest.approx(p), float(k % 3 == 2)) for k, p in enumerate(thirds)]
    assert at(whole, 1, 1) == [(2, 1), (4, 1)]
    mixed = functions_of(made(split_side(), "held", "rest"))
    assert at(mixed, 1, 0) == [(0.5, 0), (1.5, 0), (2.5, 0), (3.5, 0)]
    assert at(mixed, 0, 0) == [(1, 1), (3, 1)]


def test_where_there_are_none() -> None:
    """Right angles alone are no reason; on smooth curves and where a condition is to be met exactly there are none."""
    assert len(functions_of(made(rectangle(cells=2), "all"))) == 0
    assert len(functions_of(made(disk(cells=2), "all"))) == 0
    exact = make_problem(
        rectangle(cells=2), unknowns={"u": "scalar"}, weak=LAPLACE, boundary=[{"on": "left", "value": 0, "impose": "exact"}]
    )
    assert len(functions_of(exact)) == 0
    assert len(functions_of(made(rectangle(cells=2), "left"))) > 0


def test_traces_and_derivatives() -> None:
    """Values vanish on edges where they are imposed, fluxes on the others; derivatives are those of differences, harmonic."""
    functions = functions_of(made(split_side(), "held", "rest"))
    chart = CornerChart(tuple(f for f in functions if f.place == (1.0, 0.0)))
    s = torch.linspace(0.01, 0.9, 20, dtype=torch.float64)
    held, free = (torch.stack([1 + side * s, 0 * s], 1) for side in (1, -1))
    pairs = [(0, 0), (0, 1), (1, 1)]
    assert float(chart.jets(held, [])[()].abs().max()) <= 1e-14
    assert float(chart.jets(free, [])[1,].abs().max()) <= 1e-13
    chart = CornerChart(functions)
    x = torch.rand(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor([1.8, 0.8]) + 0.1
    jets = chart.jets(x, pairs)
    assert float((jets[0, 0] + jets[1, 1]).abs().max()) == 0.0
    step = 1e-6 * torch.eye(2, dtype=torch.float64)
    for i in (0, 1):
        ahead, behind = (chart.jets(x + sign * step[i], pairs) for sign in (1, -1))
        for key in ((), (0,), (1,)):
            difference = (ahead[key] - behind[key]) / 2e-6
            assert torch.allclose(jets[tuple(sorted((*key, i)))], difference, rtol=1e-7, atol=1e-7)
    corner = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert all(bool(values.isfinite().all()) for values in chart.jets(corner, [])[()])


def test_a_square_root_singularity() -> None:
    """A value gives way to a free side, u = r^½ sin ½θ: found to rounding, and so is its error estimate."""
    r = "sqrt((x - 1)**2 + y**2)"
    exact = f"sqrt(0.5*({r} - (x - 1)))"
    boundary = [{"on": "held", "value": 0}, {"on": "rest", "value": exact}]
    problem = made(split_side(), boundary=boundary, reference={"exact": {"u": exact}}, solver={"features": 40})
    metrics = vpinn.solve(problem, threads=1).metrics
    assert metrics["errors"]["u"]["relative_l2"] <= 1e-12
    assert metrics["error_estimate"]["relative_energy"] <= 1e-10


def notched(cells: int) -> Mesh:
    """Return an L-shape whose two sides at the re-entrant corner have a tag of their own."""
    mesh = l_shape(cells)
    x, y = mesh.nodes[mesh.facet_vertices(mesh.facets("all"))].mean(axis=1).T
    notch = ((np.abs(x) < 1e-12) & (y < 0)) | ((np.abs(y) < 1e-12) & (x > 0))
    return replace(mesh.tagged({"notch": notch, "outer": ~notch}), shape=None)


@pytest.mark.slow
def test_a_stress_singularity() -> None:
    """Williams' function of a free notch (Szabó & Babuška 1991, ch. 10) beside a smooth field, plane strain, weak form."""
    expressions = {
        "strain": "sym(grad(u))",
        "stress": "1.5*tr(strain)*Identity(2) + 2*strain",
        "l": "0.544483736782464",
        "q": "0.543075578836737",
        "r": "sqrt(x**2 + y**2)",
        "theta": "atan2(-x - y, y - x)",
        "a": "r**l*((1.8 - q*(l + 1))*cos(l*theta) - l*cos((l - 2)*theta))",
        "b": "r**l*((1.8 + q*(l + 1))*sin(l*theta) + l*sin((l - 2)*theta))",
        "w": "as_vector([sin(x)*exp(y), cos(x + y)])",
        "w_stress": "1.5*div(w)*Identity(2) + 2*sym(grad(w))",
    }
    exact = ["w[0] - (a + b)/sqrt(2)", "w[1] + (a - b)/sqrt(2)"]
    problem = make_problem(
        notched(2),
        unknowns={"u": "vector"},
        expressions=expressions,
        weak="inner(stress, grad(v))*dx + dot(div(w_stress), v)*dx - dot(dot(w_stress, n), v)*ds('notch')",
        boundary=[{"on": "outer", "value": exact}],
        reference={"exact": {"u": exact}},
        solver={"features": 80},
    )
    solution = vpinn.solve(problem, threads=1)
    assert solution.metrics["errors"]["u"]["relative_l2"] <= 1e-9
    assert solution.metrics["error_estimate"]["relative_energy"] <= 1e-7
    (first,) = (row for row in solution.metrics["corners"] if row["at"] == [0, 0] and row["exponent"] < 0.6)
    assert first["components"] == ["u[0]", "u[1]"]
    others = [abs(row["coefficient"]) for row in solution.metrics["corners"] if row is not first]
    assert max(others) <= 1e-3 * abs(first["coefficient"])


@pytest.mark.slow
def test_anisotropic_diffusion() -> None:
    """A = [[2, 1], [1, 1]]: of (x − y, y) the solution is harmonic, and the angle 3π/2 becomes 7π/4; a smooth part beside."""
    expressions = {
        "p": "cos(7*pi/8)*(x - y) + sin(7*pi/8)*y",
        "q": "cos(7*pi/8)*y - sin(7*pi/8)*(x - y)",
        "singular": "(p**2 + q**2)**(2/7)*cos(4/7*atan2(q, p))",
        "smooth": "x*y*cos(x)*exp(y)",
        "A": "as_matrix([[2, 1], [1, 1]])",
    }
    problem = made(
        l_shape(2),
        expressions=expressions,
        weak="inner(A*grad(u), grad(v))*dx + div(A*grad(smooth))*v*dx",
        boundary=[{"on": "all", "value": "singular + smooth"}],
        reference={"exact": {"u": "singular + smooth"}},
        solver={"features": 120},
    )
    metrics = vpinn.solve(problem, threads=1).metrics
    assert metrics["errors"]["u"]["relative_l2"] <= 1e-9
    assert metrics["error_estimate"]["relative_energy"] <= 1e-7


@pytest.mark.parametrize(
    ("domain", "tags", "features"),
    [
        pytest.param(split_side(), ("held", "rest"), 100, id="free side"),
        pytest.param(l_shape(3), ("all",), 150, id="re-entrant", marks=pytest.mark.slow),
    ],
)
def test_loads_beside_singular_corners(domain: Mesh, tags: tuple[str, ...], features: int) -> None:
    """-Δu = 1: estimates in the energy norm that were 0.17 and 0.13 without functions of corners."""
    tests = {"degree": 5}  # more than features, so that they see what these leave
    problem = made(domain, *tags, weak=f"{LAPLACE} - v*dx", solver={"features": features}, test_space=tests)
    metrics = vpinn.solve(problem, threads=1).metrics
    assert metrics["error_estimate"]["relative_energy"] <= 1e-4
    assert metrics["checks"] == []
    (first,) = (row for row in metrics["corners"] if row["exponent"] < 1.0)
    if tags == ("all",):  # the number that benchmarks of this problem give
        assert first["coefficient"] == pytest.approx(0.40193109, abs=1e-4)


def test_weak_forms_with_functions_of_the_problem_file() -> None:
    """Gradients like r^(−1/3) are integrated by parts: 1e-8, where Gauss rules on the gradients stopped at 5e-5."""
    corner = {"r": "sqrt(x**2 + y**2)", "theta": "3*pi/4 + atan2(-x - y, y - x)", "singular": "r**(2/3)*sin(2*theta/3)"}
    exact = "2.5*singular + sin(x)*exp(y)"
    problem = made(
        l_shape(2, "quadrilateral"),
        expressions=corner,
        network={"layers": [8], "enrich": ["singular"]},
        boundary=[{"on": "all", "value": exact}],
        reference={"exact": {"u": exact}},
        solver={"features": 120},
    )
    metrics = vpinn.solve(problem, threads=1).metrics
    assert metrics["enrich"]["u"]["singular"] == pytest.approx(2.5, abs=1e-6)
    assert metrics["errors"]["u"]["relative_l2"] <= 1e-8
    assert metrics["error_estimate"]["relative_energy"] <= 1e-6
    assert math.isclose(metrics["error_estimate"]["effectivity"], 1.0, rel_tol=0.5)

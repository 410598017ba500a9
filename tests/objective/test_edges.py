"""Test that a conditional has the same value at a quadrature point on its edge however the points are split into batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from vpinn.domain import BoundaryPart, Mesh, box, points, rectangle
from vpinn.finite_elements import assembly, solve_fem
from vpinn.objective import make_objective, measure, parts
from vpinn.placement import Placement
from vpinn.problem import Problem, make_problem
from vpinn.trial import make_trial

from .cases import ZERO, start

EDGES: dict[str, tuple[Callable[[], Mesh], str]] = {
    "triangles": (lambda: rectangle(cells=3), "lt(x + y, 1)"),
    "quadrilaterals": (lambda: rectangle(cells=3, cell="quadrilateral"), "lt(x + y, 1)"),
    "tetrahedra": (lambda: box(cells=2), "lt(x + y + z, 3/2)"),
    "hexahedra": (lambda: box(cells=2, cell="hexahedron"), "lt(x, y)"),
    "power": (lambda: rectangle(cells=3), "gt((x + y)**2.5, 1)"),
    "hyperbolic functions": (lambda: rectangle(cells=3), "lt(cosh(x + y) + sinh(x + y), exp(1))"),
    "angle": (lambda: rectangle(cells=3, cell="quadrilateral"), "lt(atan2(y, x), pi/4)"),
}
DEGREE = 5
"""Rules with points on the edges."""
FORMS = {
    "energy": "conditional({0}, 1, 5)*inner(grad(u), grad(u))*dx - u*dx + conditional({0}, 1, 2)*u*ds",
    "weak": "conditional({0}, 1, 5)*inner(grad(u), grad(v))*dx - v*dx",
    "strong": "-div(grad(u)) - conditional({0}, 1, 5)",
}


def stated(edge: str, form: str = "energy", refine: int = 0) -> Problem:
    mesh, condition = EDGES[edge]
    boundary = [{**ZERO[0], "on": "left"}] if form == "energy" else ZERO
    return make_problem(
        mesh(),
        unknowns={"u": "scalar"},
        boundary=boundary,
        network={"layers": [6, 5]},
        quadrature={"degree": DEGREE, "refine": refine},
        **{form: FORMS[form].format(condition)},
        **({"test_space": {"degree": 3}} if form == "weak" else {}),
    )


@pytest.mark.parametrize("stored", [True, False], ids=["tabulated", "made when asked for"])
@pytest.mark.parametrize("edge", EDGES)
def test_conditions_do_not_depend_on_the_batch(edge: str, stored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points one by one, in sevens, by the hundred and shuffled, on one thread and on two: the same values to the last bit."""
    monkeypatch.setattr(points, "TABULATED", 10**6 if stored else 0)
    problem = stated(edge, refine=1)
    for side in make_objective(problem, make_trial(problem)).measures:
        size = side.points.size
        whole = torch.stack(side.compute(range(size)).fixed)
        # the coefficient; on the boundary times another
        assert side.region is BoundaryPart or any(len(row.unique()) == 2 for row in whole)
        order = np.random.default_rng(0).permutation(size)
        for step in (1, 7, 100, size):
            index = order[: 40 * step]
            parts = [side.compute(index[at : at + step]).fixed for at in range(0, len(index), step)]
            found = torch.cat([torch.stack(part) for part in parts], dim=1)
            assert torch.equal(found, whole[:, torch.from_numpy(index)])
        torch.set_num_threads(2)
        try:
            assert torch.equal(torch.stack(side.compute(range(size)).fixed), whole)
        finally:
            torch.set_num_threads(1)


def test_points_lie_on_the_edges() -> None:
    """Without them the tests here would hold for any way of computing: nine points or more are on each edge, to rounding."""
    for edge, normal, height in (
        ("triangles", (1, 1), 1.0),
        ("quadrilaterals", (1, 1), 1.0),
        ("tetrahedra", (1, 1, 1), 1.5),
        ("hexahedra", (1, -1, 0), 0.0),
        ("angle", (1, -1), 0.0),
    ):
        problem = stated(edge)
        data = make_objective(problem, make_trial(problem)).measures[0].points
        x = data.take(range(data.size)).x
        assert (np.abs(x @ np.array(normal) - height) <= 4e-16).sum() >= 9


@pytest.mark.parametrize("form", FORMS)
def test_objectives_do_not_depend_on_parts_and_batches(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part, many parts, points prepared anew, batches of one point, a shuffled one, two threads: one J and one ∇J."""
    problem = stated("triangles", form)
    trial = make_trial(problem)
    theta = start(trial)
    goal = make_objective(problem, trial)
    value, gradient = goal.gradient(theta)

    def agrees(found: tuple[float, torch.Tensor]) -> None:
        assert abs(found[0] - value) <= 1e-12 * abs(value)
        assert (found[1] - gradient).abs().max() <= 1e-12 * gradient.abs().max()

    monkeypatch.setattr(parts, "PART_BYTES", 1.0)
    monkeypatch.setattr(parts, "SMALLEST", 24)
    monkeypatch.setattr(measure, "CACHE_BYTES", 0.0)
    anew = make_objective(problem, trial)
    agrees(anew.gradient(theta))
    order = [np.random.default_rng(0).permutation(m.points.size) for m in anew.measures]
    shuffled = [(m, m.batch(i, np.ones(len(i)))) for m, i in zip(anew.measures, order, strict=True)]
    agrees(anew.sampled(theta, shuffled))
    if form != "weak":  # the square of a residual is no sum over points
        ones = [anew.sampled(theta, [(m, m.batch(i[k : k + 1], np.ones(1)))]) for m, i in zip(anew.measures, order, strict=True)
                for k in range(len(i))]  # fmt: skip
        agrees((sum(v for v, _ in ones), torch.stack([g for _, g in ones]).sum(0)))
    torch.set_num_threads(2)
    try:
        agrees(make_objective(problem, trial, Placement(threads=2)).gradient(theta))
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("form", ["energy", "weak"])
def test_elements_do_not_depend_on_how_many_cells_are_assembled_at_once(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = stated("triangles", form)
    together = solve_fem(problem, 2).values
    monkeypatch.setattr(assembly, "CHUNK_BYTES", 1.0)
    assert np.abs(solve_fem(problem, 2).values - together).max() <= 1e-13 * np.abs(together).max()

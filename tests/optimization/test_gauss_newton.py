"""Test Gauss–Newton on all weights: linear problems in one step, rejected steps, and small problems to a given error."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import vpinn
from vpinn.analysis import TrueError, independent_points
from vpinn.errors import InputError
from vpinn.objective import Curvature, count_rows
from vpinn.optimization import COLUMNS, Closure, GaussNewton, Schedule, Training, train
from vpinn.output import estimate_memory
from vpinn.solving import Setup, prepare
from vpinn.solving.run import asking


def closure_of(image: Callable[[Tensor], Tensor], offset: float = 0.0, kept: bool = True) -> Closure:
    """Return ½‖image(θ)‖² + offset, with the rows of its residual by automatic differentiation."""

    def evaluate(theta: Tensor) -> tuple[float, Tensor]:
        leaf = theta.detach().requires_grad_()
        value = 0.5 * (image(leaf) ** 2).sum()
        return float(value.detach()) + offset, torch.autograd.grad(value, leaf)[0]

    def rows(theta: Tensor) -> Curvature:
        found = torch.autograd.functional.jacobian(image, theta, vectorize=True)
        signs = torch.ones(len(found), dtype=torch.float64)
        if kept:
            return Curvature(found, signs, image(theta), image)
        return Curvature(found[:0], signs, image(theta), image, found.T @ found)

    def values(thetas: Tensor) -> Tensor:
        return torch.tensor([evaluate(theta)[0] for theta in thetas], dtype=torch.float64)

    return Closure(evaluate, None, rows, values)


def linear(rows: int, size: int, decades: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, min(rows, size), generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(size, min(rows, size), generator=generator, dtype=torch.float64))
    matrix = left @ torch.diag(torch.logspace(0, -decades, min(rows, size), dtype=torch.float64)) @ right.T
    return matrix, torch.randn(rows, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_linear_problems_take_one_step(shape: tuple[int, int], kept: bool) -> None:
    """ρ = Mθ − b, condition 100: the residual of least squares to 1e-8 relative, for more and for fewer rows than weights."""
    matrix, b = linear(*shape)
    theta = torch.ones(shape[1], dtype=torch.float64)
    method = GaussNewton(damping=1e-12)
    new, _, value = method.step(theta, method.initial(theta), closure_of(lambda t: matrix @ t - b, kept=kept), 1.0, True)
    best = matrix @ torch.linalg.lstsq(matrix, b, driver="gelsd").solution - b
    assert value == pytest.approx(0.5 * float(((matrix @ theta - b) ** 2).sum()), rel=1e-14)
    assert float((matrix @ new - b - best).norm()) <= 1e-8 * float(b.norm())


@pytest.mark.parametrize(("shape", "bound"), [((40, 20), 1e-11), ((20, 40), 1e-10)])
def test_small_damping_factorises_the_rows_instead_of_their_square(shape: tuple[int, int], bound: float) -> None:
    """Condition 1e7: G, or AAᵀ where rows are fewer, has 1e14, and one step on it leaves a thousand times more."""
    matrix, b = linear(*shape, decades=7.0)
    b = matrix @ torch.ones(shape[1], dtype=torch.float64)
    left = {}
    for damping in (1e-12, 1e-24):
        method, theta = GaussNewton(damping=damping), torch.zeros(shape[1], dtype=torch.float64)
        new, _, _ = method.step(theta, method.initial(theta), closure_of(lambda t: matrix @ t - b), 1.0, True)
        left[damping] = float((matrix @ new - b).norm())
    assert left[1e-24] <= bound
    assert left[1e-12] >= 1e2 * left[1e-24]


@pytest.mark.parametrize("damping", [1e-1, 1e-6])
def test_fewer_rows_than_weights_give_the_same_step_in_their_own_space(damping: float) -> None:
    """Steps with AAᵀ (8 rows kept) and with G (rows summed), to 1e-9 of the step."""
    theta, (mix, b) = torch.linspace(-1, 1, 20, dtype=torch.float64), linear(8, 20)
    steps = []
    for kept in (True, False):
        method = GaussNewton(damping=damping)
        new, _, _ = method.step(theta, method.initial(theta), closure_of(lambda t: mix @ t - b, kept=kept), 1.0, True)
        steps.append(new - theta)
    assert float((steps[0] - steps[1]).norm()) <= 1e-9 * float(steps[0].norm())


def curved(theta: Tensor) -> Tensor:
    """Return the residuals of Rosenbrock's function, for pairs of weights."""
    return torch.cat([10 * (theta[1::2] - theta[::2] ** 2), 1 - theta[::2]])


def walk(theta: Tensor, steps: int, offset: float = 0.0) -> tuple[list[Tensor], list[float]]:
    method = GaussNewton()
    state, path, values = method.initial(theta), [theta], []
    for _ in range(steps):
        theta, state, value = method.step(theta, state, closure_of(curved, offset), 1.0, True)
        path.append(theta)
        values.append(value)
    return path, values


def test_a_curved_valley() -> None:
    """Rosenbrock's function in 25 steps to 1e-12, the value never rising."""
    path, values = walk(torch.tensor([-1.2, 1.0] * 3, dtype=torch.float64), 25)
    assert float((path[-1] - 1).norm()) <= 1e-12
    assert all(b <= a for a, b in itertools.pairwise(values))


def test_below_the_rounding_of_the_value_gradients_tell_the_decrease() -> None:
    """With 1e6 added to J its differences end at 1e-10; the weights still come to 1e-9."""
    path, _ = walk(torch.tensor([-1.2, 1.0], dtype=torch.float64), 30, offset=1e6)
    assert float((path[-1] - 1).norm()) <= 1e-9


def test_above_the_rounding_of_the_value_differences_tell_the_decrease() -> None:
    """Decreases of 1e-11 and less beside a J of one: the trapezoidal rule for ∇J, which such long steps bend, leads astray."""
    ends = []
    for offset in (0.0, 1.0):
        theta, method = torch.tensor([-1.2, 1.0] * 3, dtype=torch.float64), GaussNewton()
        state = method.initial(theta)
        for _ in range(10):
            theta, state, _ = method.step(theta, state, closure_of(lambda t: 1e-6 * curved(t), offset), 1.0, True)
        ends.append(float((theta - 1).norm()))
    assert max(ends) <= 2e-7


def test_steps_to_where_there_is_no_value_are_shortened() -> None:
    """Residual √(2 − θ) − 0.3, whose tangent at −3 leads far beyond 2."""
    method, theta = GaussNewton(damping=1e-6), torch.full((1,), -3.0, dtype=torch.float64)
    state = method.initial(theta)
    for _ in range(12):
        theta, state, _ = method.step(theta, state, closure_of(lambda t: (2 - t) ** 0.5 - 0.3), 1.0, True)
        assert float(theta) < 2.0
    assert abs(float(theta) - 1.91) <= 1e-9


def test_damping_follows_the_ratio_and_a_step_changes_nothing_it_was_given() -> None:
    matrix, b = linear(10, 4)
    method, theta = GaussNewton(damping=1e-3), torch.zeros(4, dtype=torch.float64)
    state = method.initial(theta)
    new, after, _ = method.step(theta, state, closure_of(lambda t: matrix @ t - b), 1.0, True)
    assert float(after["damping"]) == pytest.approx(1e-4, rel=1e-12)
    assert float(state["damping"]) == 1e-3
    assert torch.equal(theta, torch.zeros(4, dtype=torch.float64))
    assert not torch.equal(new, theta)
    best, best_state, _ = method.step(new, after, closure_of(lambda t: 0 * t + 1.0), 1.0, True)
    assert torch.equal(best, new)
    assert float(best_state["damping"]) > 0


FORMS = {
    "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
    "weak": "inner(grad(u), grad(v))*dx - f*v*dx",
    "strong": "-div(grad(u)) - f",
}


def poisson(form: str, impose: str = "exact", steps: int = 15, **more: Any) -> vpinn.Problem:
    tests = {"test_space": {"degree": 5}} if form == "weak" else {}
    return vpinn.make_problem(
        {"shape": "rectangle", "cells": [3, 3], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "sin(pi*x)*sin(pi*y)", "f": "-div(grad(u_exact))"},
        boundary=[{"on": "all", "value": 0, "impose": impose}],
        reference={"exact": {"u": "u_exact"}},
        network={"layers": [8]},
        quadrature={"degree": 9},
        solver={"method": "gauss-newton", "steps": steps, **more},
        **{form: FORMS[form]},
        **tests,
    )


BOUNDS = [
    *(pytest.param(form, "exact", 5e-4, marks=pytest.mark.slow) for form in FORMS),  # in the fast suite on drawn points, below
    pytest.param("energy", "penalty", 3e-2, marks=pytest.mark.slow),
    pytest.param("weak", "nitsche", 1e-2, marks=pytest.mark.slow),
    ("energy", "nitsche", 1e-2),
    ("strong", "penalty", 3e-2),
]


@pytest.mark.parametrize(("form", "impose", "bound"), BOUNDS)
def test_small_problems(form: str, impose: str, bound: float) -> None:
    """Relative L² error of 33 weights after 15 steps."""
    solution = vpinn.solve(poisson(form, impose), threads=1)
    assert solution.errors["u"]["relative_l2"] <= bound


def test_what_it_cannot_honour_is_said_in_a_line() -> None:
    problem = poisson("strong", precision="float32")
    with pytest.raises(InputError, match=r'needs solver\.precision = "float64"'):
        prepare(problem)
    batch = {"size": 10, "estimator": "two-batch"}
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": 4},
        unknowns={"u": "scalar"},
        weak="dot(grad(u), grad(v))*dx - v*dx",
        boundary=[{"on": "left", "value": 0}],
        batch=batch,
    )
    with pytest.raises(InputError, match="noise has to vanish at the solution"):
        prepare(problem, settings=asking(problem, "gauss-newton"))
    wide = vpinn.make_problem(
        {"shape": "rectangle", "cells": 4}, unknowns={"u": "scalar"}, energy="u*u*dx", network={"layers": [100, 100]}
    )
    with pytest.raises(InputError, match=r"stores matrices of 10,501²") as caught:
        prepare(wide, settings=asking(wide, "gauss-newton"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["gauss-newton", "spring", "adam"])
def test_fewer_tests_than_functions_of_the_last_layer_are_refused(method: str) -> None:
    """One cell of degree 2 has one test; eight units and a bias have nine functions."""
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": 1, "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx - v*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [8]},
        test_space={"degree": 2},
        solver={"method": method},
    )
    if method == "adam":  # stays near where it starts, and is free to try
        assert prepare(problem).plan.method.name == method
        return
    with pytest.raises(InputError, match=r"1 test functions cannot distinguish 9 functions") as caught:
        prepare(problem)
    assert "\n" not in str(caught.value)


def test_matrices_are_as_large_as_the_smaller_of_rows_and_weights() -> None:
    """10,501 weights on 36 points have AAᵀ of 36²; tests in columns that do not fit are refused."""
    domain = {"shape": "rectangle", "cells": 2, "cell": "quadrilateral"}
    wide = {"unknowns": {"u": "scalar"}, "network": {"layers": [100, 100]}, "solver": {"method": "gauss-newton"}}
    zero = [{"on": "all", "value": 0}]
    few = prepare(vpinn.make_problem(domain, strong="div(grad(u))", boundary=zero, quadrature={"degree": 5}, **wide))
    assert count_rows(few.objective) == 36
    assert estimate_memory(few.objective, None, True) > estimate_memory(few.objective, None) + 36 * 10_501 * 8
    tests = {"test_space": {"degree": 10}, "quadrature": {"degree": 1}}
    with pytest.raises(InputError, match=r"stores 12,321 test functions × 10,501 weights, 1\.0 GB"):
        prepare(vpinn.make_problem({**domain, "cells": 11}, weak="inner(grad(u), grad(v))*dx", **tests, **wide))


def test_a_step_that_another_batch_does_not_confirm_is_taken_back() -> None:
    """One row for 12 weights: the next batch sees its residual rise, θ returns, λ is 50 times what it was."""
    matrix, b = linear(2, 12)
    method, theta = GaussNewton(damping=1e-6), torch.zeros(12, dtype=torch.float64)
    first = closure_of(lambda t: matrix[:1] @ t - b[:1])
    moved, state, _ = method.step(theta, method.initial(theta), first, 1.0, False)
    assert float(state["predicted"]) == pytest.approx(0.5 * float(b[0] ** 2), rel=1e-4)
    other = closure_of(lambda t: matrix[:1] @ t + b[:1])  # asks for the opposite
    back, after, _ = method.step(moved, state, other, 1.0, False)
    assert torch.equal(after["before"], theta)
    assert float((back + moved).norm()) <= 1e-3 * float(moved.norm())
    confirmed, after, _ = method.step(moved, state, first, 1.0, False)
    assert torch.equal(after["before"], moved)
    assert float((confirmed - moved).norm()) <= 1e-4 * float(moved.norm())


@pytest.mark.parametrize(
    ("form", "bound"),
    [
        pytest.param("strong", 2e-4, marks=pytest.mark.slow),
        pytest.param("weak", 2e-3, marks=pytest.mark.slow),
        ("energy", 5e-2),
    ],
)
def test_steps_on_drawn_points(form: str, bound: float) -> None:
    """151 weights, 40 steps on 320 of 6,400 points; an energy's batches have a noise of their own, the others' dies out."""
    _, training, errors = trained(form, 40)
    assert errors() <= bound
    assert {row[COLUMNS.index("batch_size")] for row in training.history} == {320}


@pytest.mark.slow
def test_a_run_on_drawn_points_goes_on_to_the_last_bit() -> None:
    _, whole, _ = trained("strong", 12, cells=5)
    setup, half, _ = trained("strong", 7, cells=5)
    resumed = Training.from_arrays(*half.arrays())
    train(setup.objective, resumed, dataclasses.replace(setup.plan, schedule=Schedule(1.0, 0, 12)))
    assert torch.equal(whole.theta, resumed.theta)


@pytest.mark.slow
def test_batches_that_grow_end_on_all_points() -> None:
    """40 steps from 320 points to 1,024, the last two on all 1,600: the error ends below that of 320 points throughout."""
    _, fixed, error = trained("strong", 40, cells=5)
    growing = {"growth": "geometric", "largest": 1024, "finish": 0.05}
    _, training, grown = trained("strong", 40, cells=5, **growing)
    sizes = [row[COLUMNS.index("batch_size")] for row in training.history]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-3:]) == (320, [sizes[-3], 1600, 1600])
    assert sizes[-3] > 750
    assert grown() <= 0.7 * error()
    assert training.history[-1][COLUMNS.index("loss")] < fixed.history[-1][COLUMNS.index("loss")]


@cache
def trained(form: str, steps: int, cells: int = 10, **batch: Any) -> tuple[Setup, Training, Callable[[], float]]:
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [cells, cells], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "sin(pi*x)*sin(pi*y)", "f": "-div(grad(u_exact))"},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "u_exact"}},
        network={"layers": [10, 10]},
        quadrature={"degree": 15},
        batch={"size": 320, **batch},
        solver={"method": "gauss-newton", "steps": steps},
        **({"test_space": {"degree": 1}} if form == "weak" else {}),
        **{form: FORMS[form]},
    )
    setup = prepare(problem)
    training = train(setup.objective, setup.start(), setup.plan)  # which tests share, and leave as it is
    truth = TrueError(problem, setup.trial, independent_points(problem, 6))
    return setup, training, lambda: truth(training.theta)["u"]["relative_l2"]

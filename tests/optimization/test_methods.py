"""Test the steps of every method against torch's, and on functions with known minima."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from vpinn.optimization import Adam, Broyden, Closure, Lbfgs, Method, NonFiniteError, Schedule, Sgd
from vpinn.optimization.line_search import wolfe

Function = Callable[[Tensor], Tensor]


def closure_of(function: Function, clip: float | None = None) -> Closure:
    def evaluate(theta: Tensor) -> tuple[float, Tensor]:
        leaf = theta.detach().requires_grad_()
        value = function(leaf)
        return float(value.detach()), torch.autograd.grad(value, leaf)[0]

    return Closure(evaluate, clip)


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def wavy(x: Tensor) -> Tensor:
    """Return a smooth function that is not convex, with components of very different size."""
    scale = torch.logspace(-2, 2, len(x), dtype=x.dtype)
    return (torch.cos(x) + 0.1 * scale * x**2).sum() + 0.01 * x.sum() ** 4


def quadratic(decades: float, size: int = 30) -> Function:
    """Return ½xᵀAx with eigenvalues from 1 to 10^decades in random directions."""
    q, _ = torch.linalg.qr(start(size * size, 1).reshape(size, size))
    matrix = q @ torch.diag(torch.logspace(0, decades, size, dtype=torch.float64)) @ q.T
    return lambda x: 0.5 * x @ matrix @ x


def start(size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def walk(method: Method, function: Function, theta: Tensor, rate: Callable[[int], float], steps: int) -> list[Tensor]:
    state, path = method.initial(theta), [theta]
    for step in range(steps):
        theta, state, _ = method.step(theta, state, closure_of(function), rate(step), same=True)
        path.append(theta)
    return path


COMPARED: list[tuple[str, Function, Tensor]] = [
    ("quadratic, 1e4", quadratic(4, 20), start(20, 2)),
    ("rosenbrock", rosenbrock, torch.tensor([-1.2, 1.0] * 5, dtype=torch.float64)),
    ("cosh", lambda x: (torch.cosh(x * torch.logspace(-1, 0.5, len(x), dtype=x.dtype)) - 1).sum(), start(20)),
]


@pytest.mark.parametrize(
    ("method", "make"),
    [
        (Adam(), lambda p, lr: torch.optim.Adam(p, lr)),
        (Adam(0.8, 0.95, 1e-3), lambda p, lr: torch.optim.Adam(p, lr, (0.8, 0.95), 1e-3)),
        (Sgd(0.0), lambda p, lr: torch.optim.SGD(p, lr)),
        (Sgd(0.9), lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)),
    ],
)
def test_first_order_methods_are_those_of_torch(
    method: Method, make: Callable[[list[Tensor], float], torch.optim.Optimizer]
) -> None:
    """Fifty steps with a step size that changes, to 1e-12."""
    rate = Schedule(2e-3, 5, 50, "cosine")
    path = walk(method, wavy, start(20), rate, 50)
    leaf = start(20).requires_grad_()
    optimizer = make([leaf], 1.0)
    for step in range(50):
        optimizer.param_groups[0]["lr"] = rate(step)
        optimizer.zero_grad()
        wavy(leaf).backward()
        optimizer.step()
        assert (path[step + 1] - leaf).abs().max() <= 1e-12
    assert (path[-1] - path[0]).abs().max() > 0.01


@pytest.mark.parametrize("method", [Adam(), Sgd(), Lbfgs(), Broyden()])
def test_a_step_changes_nothing_it_was_given(method: Method) -> None:
    theta = start(8)
    state = method.initial(theta)
    for _ in range(3):
        before = {**{k: v.clone() for k, v in state.items()}, "theta": theta.clone()}
        given = theta, state
        theta, state, value = method.step(theta, state, closure_of(wavy), 1e-2, same=True)
        assert torch.equal(given[0], before["theta"])
        assert all(torch.equal(given[1][k], before[k]) or before[k].isnan().any() for k in given[1])
        assert value == pytest.approx(float(wavy(given[0])), rel=1e-15)


@pytest.mark.parametrize("size", [2, 10])
def test_lbfgs_on_rosenbrock(size: int) -> None:
    """To 1e-10 of the minimum at (1, …, 1), superlinearly at the end."""
    theta = torch.tensor([-1.2, 1.0] * (size // 2), dtype=torch.float64)
    path = walk(Lbfgs(), rosenbrock, theta, lambda step: 1.0, 40 if size == 2 else 80)
    errors = [float((p - 1).norm()) for p in path]
    assert min(errors) <= 1e-10
    near = next(k for k, e in enumerate(errors) if e < 1e-2)
    fast = next(k for k, e in enumerate(errors) if e < 1e-10)
    assert fast - near <= 8 + size // 2
    assert any(errors[k + 1] < 0.1 * errors[k] for k in range(near, fast))


def test_lbfgs_on_an_ill_conditioned_quadratic() -> None:
    """½xᵀAx with eigenvalues from 1 to 1e6 in random directions; memory for all of them."""
    function = quadratic(6)
    values = [float(function(p)) for p in walk(Lbfgs(), function, start(30, 2), lambda step: 1.0, 320)]
    assert min(values) <= 1e-10 * values[0]
    assert all(b <= a * (1 + 1e-12) for a, b in itertools.pairwise(values))


@pytest.mark.parametrize(("name", "function", "theta"), COMPARED, ids=[name for name, *_ in COMPARED])
def test_lbfgs_beside_that_of_scipy(name: str, function: Function, theta: Tensor) -> None:
    """Evaluations until the value has fallen by 1e-10, with the same memory: at most a tenth more."""
    closure, seen = closure_of(function), []

    def evaluate(x: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        value, gradient = closure(torch.from_numpy(x.copy()))
        seen.append(value)
        return value, gradient.numpy()

    options = {"maxcor": 50, "ftol": 0, "gtol": 0, "maxiter": 300}
    minimize(evaluate, theta.numpy(), jac=True, method="L-BFGS-B", options=options)
    target = 1e-10 * float(function(theta))
    theirs = next(k for k, value in enumerate(seen, 1) if value <= target)
    method, state, ours, value = Lbfgs(), Lbfgs().initial(theta), 0, math.inf
    while value > target:
        closure = closure_of(function)
        theta, state, value = method.step(theta, state, closure, 1.0, same=True)
        ours += closure.evaluations
        assert ours <= 1.1 * theirs + 5


def test_lbfgs_evaluates_about_once_a_step() -> None:
    """The gradient of a step's end is that of the next one's start, where the function stays the same."""
    closures = []
    theta = start(10)
    method, state = Lbfgs(), Lbfgs().initial(theta)
    for _ in range(30):
        closures.append(closure_of(rosenbrock))
        theta, state, _ = method.step(theta, state, closures[-1], 1.0, same=True)
    assert closures[0].evaluations >= 2
    assert sum(c.evaluations for c in closures[1:]) <= 1.7 * 29
    assert min(c.evaluations for c in closures[1:]) == 1
    assert all(math.isfinite(c.gradient_norm) for c in closures)
    again = closure_of(rosenbrock)
    method.step(theta, state, again, 1.0, same=False)
    assert again.evaluations >= 2


def test_lbfgs_stays_where_nothing_is_gained() -> None:
    theta = torch.ones(4, dtype=torch.float64)
    method = Lbfgs()
    state = method.initial(theta)
    for _ in range(3):
        new, state, value = method.step(theta, state, closure_of(rosenbrock), 1.0, same=True)
        assert torch.equal(new, theta)
        assert value == 0


def test_lbfgs_direction_against_the_dense_recursion() -> None:
    """H·g by two loops is that of the BFGS matrices built up from the same pairs."""
    size, pairs = 7, 5
    generator = np.random.default_rng(0)
    root = generator.normal(size=(size, size))
    hessian = root @ root.T + np.eye(size)
    steps = generator.normal(size=(pairs, size))
    changes = steps @ hessian
    s, y = steps[-1], changes[-1]
    inverse = np.eye(size) * (s @ y) / (y @ y)
    for s, y in zip(steps, changes, strict=True):
        rho = 1 / (s @ y)
        left = np.eye(size) - rho * np.outer(s, y)
        inverse = left @ inverse @ left.T + rho * np.outer(s, s)
    gradient = generator.normal(size=size)
    state = {"steps": torch.from_numpy(steps), "changes": torch.from_numpy(changes)}
    found = Lbfgs().inverse_hessian(state, torch.from_numpy(gradient)).numpy()
    assert np.abs(found - inverse @ gradient).max() <= 1e-12 * np.abs(found).max()


def test_lbfgs_keeps_the_last_pairs_of_positive_curvature() -> None:
    theta = start(12)
    method = Lbfgs(memory=4)
    state = method.initial(theta)
    for _ in range(12):
        theta, state, _ = method.step(theta, state, closure_of(wavy), 1.0, same=True)
        curvature = (state["steps"] * state["changes"]).sum(1)
        assert (curvature > 0).all()
        assert len(curvature) <= 4
    assert len(state["steps"]) == 4


LINES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "far parabola": (lambda t: 1e-4 * (t - 500) ** 2, lambda t: 2e-4 * (t - 500)),
    "near parabola": (lambda t: 1e6 * (t - 1e-4) ** 2, lambda t: 2e6 * (t - 1e-4)),
    "quartic": (lambda t: (t - 1) ** 4 - t, lambda t: 4 * (t - 1) ** 3 - 1),
    "waves": (lambda t: -math.sin(3 * t) - 0.2 * t, lambda t: -3 * math.cos(3 * t) - 0.2),
    "narrow": (lambda t: -t / (t**2 + 2), lambda t: (t**2 - 2) / (t**2 + 2) ** 2),
    "wall": (lambda t: (t - 0.9) ** 2 if t < 1 else math.inf, lambda t: 2 * (t - 0.9) if t < 1 else math.inf),
    "pole": (
        lambda t: -math.log(t + 1) - math.log(2 - t) if t < 2 else math.inf,
        lambda t: -1 / (t + 1) + 1 / (2 - t) if t < 2 else math.inf,
    ),
}


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("name", LINES)
def test_line_searches_end_with_the_strong_wolfe_conditions(name: str, first: float) -> None:
    value, slope = LINES[name]
    seen = []

    def along(t: float) -> tuple[float, float]:
        seen.append(t)
        return value(t), slope(t)

    t = wolfe(along, value(0), slope(0), first, 30)
    assert t is not None
    assert t in seen
    assert len(seen) <= 20
    assert value(t) <= value(0) + 1e-4 * t * slope(0)
    assert abs(slope(t)) <= 0.9 * abs(slope(0))


def test_line_searches_that_find_nothing() -> None:
    assert wolfe(lambda t: (t, 1.0), 0.0, -1.0, 1.0, 20) is None
    assert wolfe(lambda t: (math.inf, math.inf), 0.0, -1.0, 1.0, 20) is None
    # only decrease, no minimum: the best seen
    assert wolfe(lambda t: (-t, -1.0), 0.0, -1.0, 1.0, 5) is not None


def test_clipping() -> None:
    closure = closure_of(lambda x: (x**2).sum() / 2, clip=0.5)
    theta = torch.tensor([3.0, 4.0], dtype=torch.float64)
    value, gradient = closure(theta)
    assert value == 12.5
    assert gradient.tolist() == pytest.approx([0.3, 0.4], rel=1e-15)
    assert (closure.gradient_norm, closure.clipped) == (5.0, True)
    closure(theta * 1e-3)
    assert (closure.gradient_norm, closure.clipped, closure.evaluations) == (5.0, True, 2)
    short = closure_of(lambda x: (x**2).sum() / 2, clip=0.5)
    assert torch.equal(short(theta * 1e-3)[1], theta * 1e-3)
    assert not short.clipped


@pytest.mark.parametrize(
    ("value", "gradient", "what"),
    [(math.nan, [1.0], "loss"), (math.inf, [1.0], "loss"), (1.0, [math.nan], "gradient"), (1.0, [1.0, -math.inf], "gradient")],
)
def test_every_evaluation_is_checked(value: float, gradient: list[float], what: str) -> None:
    closure = Closure(lambda theta: (value, torch.tensor(gradient, dtype=torch.float64)))
    with pytest.raises(NonFiniteError, match=what):
        closure(torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_never_enters_the_memory_of_lbfgs(bad: float) -> None:
    """Beyond a wall in every direction the function is not finite; the minimum inside is found all the same."""

    def evaluate(theta: Tensor) -> tuple[float, Tensor]:
        value, gradient = closure_of(rosenbrock)(theta)
        return (bad, gradient * bad) if float(theta.abs().max()) > 1.3 else (value, gradient)

    theta = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    method, state = Lbfgs(), Lbfgs().initial(theta)
    for _ in range(60):
        theta, state, value = method.step(theta, state, Closure(evaluate), 1.0, same=True)
        assert math.isfinite(value)
        assert all(torch.isfinite(v).all() for v in state.values())
    assert (theta - 1).abs().max() <= 1e-8


def test_schedules() -> None:
    constant = Schedule(0.1, 4, 20)
    assert [constant(s) for s in range(6)] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
    assert constant(10**6) == 0.1
    cosine = Schedule(0.1, 10, 110, "cosine", 0.2)
    assert [cosine(s) for s in (9, 10, 60, 110, 500)] == pytest.approx([0.1, 0.1, 0.06, 0.02, 0.02])
    exponential = Schedule(2.0, 0, 100, "exponential", 0.01)
    assert [exponential(s) for s in (0, 50, 100, 200)] == pytest.approx([2.0, 0.2, 0.02, 0.02])
    for course in ("cosine", "exponential"):
        rates = [Schedule(1.0, 3, 50, course)(s) for s in range(3, 50)]
        assert rates == sorted(rates, reverse=True)
    assert Schedule(0.5)(0) == 0.5

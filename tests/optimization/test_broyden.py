"""Test the self-scaled Broyden method: its update against the formula, and its minima against known ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vpinn.optimization import Broyden, Lbfgs
from vpinn.optimization.broyden import update

from .test_methods import closure_of, quadratic, rosenbrock, start, walk


def test_updates_keep_the_secant_equation_and_stay_positive() -> None:
    """H y = s to 1e-12, H symmetric and positive definite, over thirty updates with curvatures over four decades."""
    generator = np.random.default_rng(0)
    inverse = torch.eye(8, dtype=torch.float64)
    hessian = torch.from_numpy(np.diag(np.logspace(0, 4, 8)))
    for _ in range(30):
        s = torch.from_numpy(generator.normal(size=8))
        y = hessian @ s
        square = float(s @ torch.linalg.solve(inverse, s))
        inverse = update(inverse, s, y, square)
        assert (inverse @ y - s).norm() <= 1e-10 * s.norm()
        assert (inverse - inverse.T).abs().max() <= 1e-10 * inverse.abs().max()
        assert float(torch.linalg.eigvalsh(inverse).min()) > 0


def test_the_update_is_a_scaled_member_of_the_family() -> None:
    """H⁺ − ssᵀ/yᵀs − H/τ is a combination of Hy yᵀH and vvᵀ: directions orthogonal to s and Hy see H/τ alone."""
    generator = np.random.default_rng(1)
    root = torch.from_numpy(generator.normal(size=(6, 6)))
    inverse = root @ root.T + torch.eye(6, dtype=torch.float64)
    s, y = (torch.from_numpy(generator.normal(size=6)) for _ in range(2))
    y = y * torch.sign(s @ y)
    found = update(inverse, s, y, float(s @ torch.linalg.solve(inverse, s)))
    rest = found - torch.outer(s, s) / (s @ y)
    basis = torch.linalg.svd(torch.stack([s, inverse @ y]))[2][2:]
    seen, given = basis @ rest @ basis.T, basis @ inverse @ basis.T
    ratio = seen / given
    assert (ratio - ratio[0, 0]).abs().max() <= 1e-9 * ratio.abs().max()
    assert float(ratio[0, 0]) > 0


@pytest.mark.parametrize("size", [2, 10])
def test_rosenbrock(size: int) -> None:
    """To 1e-10 of the minimum at (1, …, 1)."""
    theta = torch.tensor([-1.2, 1.0] * (size // 2), dtype=torch.float64)
    path = walk(Broyden(), rosenbrock, theta, lambda step: 1.0, 45 if size == 2 else 110)
    assert min(float((p - 1).norm()) for p in path) <= 1e-10


def test_an_ill_conditioned_quadratic_takes_fewer_steps_than_limited_memory() -> None:
    """½xᵀAx with eigenvalues from 1 to 1e6: down by 1e-10."""
    function, steps = quadratic(6), {}
    for method in (Broyden(), Lbfgs(memory=10)):
        values = [float(function(p)) for p in walk(method, function, start(30, 2), lambda step: 1.0, 400)]
        below = [k for k, v in enumerate(values) if v <= 1e-10 * values[0]]
        steps[method.name] = below[0] if below else math.inf
    assert steps["broyden"] <= 200
    assert steps["broyden"] < 0.8 * steps["lbfgs"]


def test_it_evaluates_about_once_a_step_and_stays_where_nothing_is_gained() -> None:
    method, theta = Broyden(), start(10)
    state, closures = method.initial(theta), []
    for _ in range(40):
        closures.append(closure_of(rosenbrock))
        theta, state, _ = method.step(theta, state, closures[-1], 1.0, same=True)
    assert sum(c.evaluations for c in closures[1:]) <= 1.7 * 39
    minimum = torch.ones(4, dtype=torch.float64)
    state = method.initial(minimum)
    for _ in range(3):
        new, state, value = method.step(minimum, state, closure_of(rosenbrock), 1.0, same=True)
        assert torch.equal(new, minimum)
        assert value == 0

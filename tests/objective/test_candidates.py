"""Test that values computed for many parameter vectors at once equal those of each alone, on problems of every kind."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from objective.cases import CASES, make
from vpinn.objective import Batch, Objective, candidate_values
from vpinn.placement import Placement


def around(theta: Tensor, count: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return theta + 0.1 * torch.randn(count, len(theta), generator=generator, dtype=theta.dtype)


def batch(objective: Objective, seed: int) -> Batch:
    generator = np.random.default_rng(seed)
    found = []
    for measure in objective.batched:
        n = measure.points.size
        found.append((measure, measure.batch(generator.integers(n, size=6), np.full(6, n / 6))))
    return found


@pytest.mark.parametrize("name", sorted(CASES))
def test_over_all_points(name: str) -> None:
    _, objective, theta = make(name)
    thetas = around(theta)
    each = torch.tensor([objective.value(row) for row in thetas], dtype=torch.float64)
    found = candidate_values(objective, thetas)
    assert found.dtype == torch.float64
    assert float((found - each).abs().max()) <= 1e-11 * float(each.abs().max())
    assert float(candidate_values(objective, thetas[:1])[0]) == pytest.approx(float(each[0]), rel=1e-12)


@pytest.mark.parametrize("name", sorted(CASES))
def test_over_batches(name: str) -> None:
    """One batch, and the product of two for squares."""
    _, objective, theta = make(name)
    thetas, first = around(theta), batch(objective, 1)
    for second in (None, batch(objective, 2)) if objective.test_space is not None else (None,):
        each = torch.tensor([objective.sampled(row, first, second)[0] for row in thetas], dtype=torch.float64)
        found = candidate_values(objective, thetas, first, second)
        assert float((found - each).abs().max()) <= 1e-11 * float(each.abs().max())


def test_the_result_depends_neither_on_threads_nor_on_what_goes_together() -> None:
    _, objective, theta = make("weak: convection and reaction")
    thetas = around(theta, 7)
    one, two = (candidate_values(dataclasses.replace(objective, placement=Placement(threads=n)), thetas) for n in (1, 2))
    assert float((one - two).abs().max()) <= 1e-13 * float(one.abs().max())

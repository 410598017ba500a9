"""Test Gauss–Newton on batches that grow by the norm test, which measures the noise of a step on the next batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vpinn.optimization import COLUMNS, GaussNewton

from .test_gauss_newton import closure_of, trained

SIZES = COLUMNS.index("batch_size")


@pytest.mark.parametrize("ratio", [0.1, 1.0])
def test_the_next_batch_tells_the_noise(ratio: float) -> None:
    """Batches see ½|θ − e|² for ½|θ|², e ~ N(0, σ²)⁶⁰: n/s = 60 σ²/|θ|², which the median of 60 pairs gives within 12 %."""
    generator, size = torch.Generator().manual_seed(6), 60
    theta = torch.ones(size, dtype=torch.float64)
    method, told = GaussNewton(damping=1e-12), []
    for _ in range(60):
        first, second = ratio**0.5 * torch.randn(2, size, generator=generator, dtype=torch.float64)
        moved, state, _ = method.step(theta, method.initial(theta), closure_of(lambda t, e=first: t - e), 1.0, False)
        _, after, _ = method.step(moved, state, closure_of(lambda t, e=second: t - e), 1.0, False)
        told.append(float(after["noise"]))
    assert np.median(told) == pytest.approx(ratio, rel=0.12)


@pytest.mark.slow
def test_an_energys_batches_grow_until_all_points_are_in() -> None:
    """An energy's noise stays: 320 points end at their floor, batches that grow come to all 1,600 points and far below it."""
    _, fixed, floor = trained("energy", 40, cells=5)
    _, training, error = trained("energy", 40, cells=5, growth="norm-test")
    sizes = [row[SIZES] for row in training.history]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (320, 1600)
    assert {row[SIZES] for row in fixed.history} == {320}
    assert error() <= 0.05 * floor()

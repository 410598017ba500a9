"""Test the clipping threshold of least error against brute force, closed forms and simulation. Seeds are fixed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vpinn.noise import bias
from vpinn.optimization.clipping import FEWEST, TAIL, WINDOW, Clipping, best_threshold


def error(c: float, gradients: np.ndarray, truth: np.ndarray) -> float:
    norms = np.linalg.norm(gradients, axis=1)
    return float(((np.minimum(1.0, c / norms)[:, None] * gradients - truth) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0, 3.0])
def test_it_is_the_least_of_all(spread: float) -> None:
    """Against 2,000 thresholds from 0 past the longest, in four dimensions: none has a smaller error."""
    truth = np.array([1.0, -0.5, 0.25, 0.0])
    gradients = truth + spread * np.random.default_rng(3).standard_t(3, size=(60, 4))
    norms = np.linalg.norm(gradients, axis=1)
    found = best_threshold(norms, gradients @ truth)
    least = min(error(c, gradients, truth) for c in np.linspace(0.0, 1.1 * norms.max(), 2000))
    assert error(found, gradients, truth) <= least + 1e-12
    assert 0.0 <= found <= norms.max()


def test_exponential_magnitudes_are_clipped_at_their_mean() -> None:
    """The chapter's model, 200,000 draws: the optimum of the closed form is C = μ, found within 2 %."""
    mean = 0.7
    magnitudes = np.random.default_rng(4).exponential(mean, 200_000)
    found = best_threshold(magnitudes, magnitudes * mean)
    assert found == pytest.approx(mean, rel=0.02)
    grid = np.linspace(0.1, 3.0, 600)
    assert found == pytest.approx(grid[bias.clipped_exponential(grid, mean)[2].argmin()], rel=0.03)


def test_gradients_in_many_dimensions_are_clipped_at_the_closed_form() -> None:
    """‖g‖² = 4, tr Σ/b = 9 in 2,000 dimensions, products with the gradient before: ‖g‖/√(1 + S/b) within 3 %."""
    generator = np.random.default_rng(5)
    truth = np.full(2000, 2.0 / 2000**0.5)
    gradients = truth + 3.0 / 2000**0.5 * generator.standard_normal((WINDOW + 1, 2000))
    norms, along = np.linalg.norm(gradients[1:], axis=1), (gradients[1:] * gradients[:-1]).sum(axis=1)
    assert best_threshold(norms, along) == pytest.approx(bias.best_threshold(4.0, 9.0), rel=0.03)


def test_what_training_takes_it_from() -> None:
    """Nothing while little is known; then the window's tail where that is more, the optimum where magnitudes have one."""
    state = Clipping()
    generator = torch.Generator().manual_seed(6)
    gradients = [torch.randn(50, generator=generator, dtype=torch.float64) + 0.3 for _ in range(WINDOW + 40)]
    for k, gradient in enumerate(gradients):
        assert (state.threshold is None) == (k < FEWEST)
        state = state.noted(gradient)
    norms = [float(g.norm()) for g in gradients]
    assert len(state.rows) == WINDOW
    assert state.rows[-1].tolist() == pytest.approx([norms[-1], float(gradients[-1] @ gradients[-2])], rel=1e-12)
    assert state.threshold == pytest.approx(np.quantile(norms[-WINDOW + 1 :], TAIL), rel=1e-12)

"""Test that annealed batches and populations find both solutions of Bratu's problem from starts near the ridge between them."""

from __future__ import annotations

import pytest

from .two_solutions import METHODS, PEAKS, peak

RUNS = 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights"), [("evolution, spread 0.1", 0), ("adam, b = 2 ln(k + e)", 0)], ids=["population", "annealing"]
)
def test_both_solutions_are_found_from_one_start(name: str, weights: int) -> None:
    """The noise of candidates or of batches decides; most runs go to the lower solution."""
    ends = [peak(METHODS[name], 3.0, weights, seed) for seed in range(RUNS)]
    for which, value in PEAKS.items():
        assert any(abs(end - value) < 0.1 for end in ends), which


@pytest.mark.slow
def test_without_noise_the_start_decides() -> None:
    """L-BFGS on all points: from below the ridge to the lower solution, from near it to the upper one."""
    settings = METHODS["lbfgs, all points"]
    assert peak(settings, 1.0, 0, 0) == pytest.approx(PEAKS["lower"], abs=0.01)
    assert peak(settings, 3.0, 0, 0) == pytest.approx(PEAKS["upper"], abs=0.02)

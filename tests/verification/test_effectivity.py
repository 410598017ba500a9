"""Test that the error estimate is within a factor of two of the true error, for every problem file with a known solution."""

from __future__ import annotations

import pytest

from .effectivity import cases, estimate

QUICK = {("elasticity", "lbfgs"), ("helmholtz", "lbfgs"), ("interval_1d", "adam")}
"""Cases of a second or two: stresses far smaller than gradients, an operator with negative directions, one dimension."""


@pytest.mark.parametrize(
    ("name", "method"), [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in cases()]
)
def test_effectivity(name: str, method: str) -> None:
    found = estimate(name, method)
    if found["effectivity"] is None:  # the true error is rounding; the estimate has to say as much
        assert found["relative_energy"] <= 1e-11
    else:
        assert 0.5 <= found["effectivity"] <= 2.0

"""Polynomials in time: they follow a function, and come back from arrays."""

import numpy as np
import pytest

from vpinn.march import Trajectory


def wave(t: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(40 * t), np.exp(-300 * t)], axis=1)


def test_follows_a_function_with_a_layer() -> None:
    found = Trajectory.of_function(wave, [0.0, 0.5, 2.0], 1e-10)
    assert found is not None
    t = np.random.default_rng(0).uniform(0, 2, 200)
    gap = np.stack([found(float(s)) for s in t]) - wave(t)
    assert np.abs(gap).max() < 1e-9
    assert {0.0, 0.5, 2.0} <= set(found.breaks.tolist())
    back = Trajectory.from_arrays(found.arrays())
    np.testing.assert_array_equal(back(0.7), found(0.7))


def test_gives_up_where_few_panels_are_not_enough() -> None:
    assert Trajectory.of_function(wave, [0.0, 2.0], 1e-10, most=2) is None


@pytest.mark.parametrize("t", [0.0, 0.5, 2.0])
def test_takes_the_values_at_breaks(t: float) -> None:
    found = Trajectory.of_function(wave, [0.0, 0.5, 2.0], 1e-10)
    assert found is not None
    np.testing.assert_allclose(found(t), wave(np.array([t]))[0], atol=1e-13)

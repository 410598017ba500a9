"""Test problem files against published solutions, which are not part of the project; without them the tests are skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vpinn

ROOT = Path(__file__).parents[2]
REFERENCES = ROOT.parent / "shared" / "references"


def published(name: str) -> np.ndarray:
    """Return the columns of a reference, or skip the test."""
    if not (REFERENCES / name).exists():
        pytest.skip("the references are not here")
    return np.loadtxt(REFERENCES / name, comments="%")


def test_poisson_boltzmann_in_finite_elements() -> None:
    """Elements of degree 5 on the mesh of the problem file, beside COMSOL's solution of PINNacle's "Poisson 2d-CG"."""
    x, y, truth = published("pinnacle_poisson_boltzmann2d.dat").T
    problem = vpinn.read_problem(ROOT / "problems" / "poisson_boltzmann.toml")
    found = vpinn.solve_fem(problem, degree=5).evaluate(np.stack([x, y], axis=1))["u"]
    assert np.linalg.norm(found - truth) <= 1.5e-4 * np.linalg.norm(truth)


@pytest.mark.slow
def test_poisson_boltzmann() -> None:
    x, y, truth = published("pinnacle_poisson_boltzmann2d.dat").T
    solution = vpinn.solve(vpinn.read_problem(ROOT / "problems" / "poisson_boltzmann.toml"), threads=1)
    found = solution.evaluate(np.stack([x, y], axis=1))["u"]
    assert np.linalg.norm(found - truth) <= 1e-3 * np.linalg.norm(truth)


@pytest.mark.slow
def test_four_holes() -> None:
    """The truth is exact to 1e-13; what is left is the mesh, whose curved triangles meet the circles to 1e-6 of their radius."""
    name = REFERENCES / "plate_four_holes_truth.npz"
    if not name.exists():
        pytest.skip("the references are not here")
    with np.load(name) as truth:
        solution = vpinn.solve(vpinn.read_problem(ROOT / "problems" / "four_holes.toml"), threads=1)
        found = solution.evaluate(truth["x"])["u"]
        inside = np.isfinite(found)
        assert inside.mean() > 0.999
        assert np.linalg.norm((found - truth["u"])[inside]) <= 1e-6 * np.linalg.norm(truth["u"][inside])

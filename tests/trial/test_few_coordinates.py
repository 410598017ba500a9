"""Test sums of functions of few coordinates: orthonormal polynomials, derivatives, images under operators, restoring."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vpinn.domain import Ball, Space, scattered
from vpinn.trial import Enriched, FewCoordinates
from vpinn.trial.few_coordinates import DISTANCE
from vpinn.trial.polynomials import tabulated

TERMS = ((), ((DISTANCE, 2),), ((DISTANCE, 4),), ((0, 2), (2, 3)), ((1, 1), (2, 1), (3, 2)), ((2, 5),))
KEYS = [(), (0,), (2,), (0, 0), (2, 2), (0, 2), (1, 3)]
BASE = Enriched((4, 3, 2), "tanh", (0.0, -1.0, 0.0, 0.0), (1.0, 2.0, 3.0, 1.0), 1)


def sums(family: str, terms: tuple[tuple[tuple[int, int], ...], ...] = TERMS) -> FewCoordinates:
    return FewCoordinates.of(BASE, family, terms)


@pytest.mark.parametrize(("family", "dimension"), [("legendre", 3), ("gegenbauer", 4), ("gegenbauer", 30), ("hermite", 2)])
def test_polynomials_are_orthonormal_over_the_domain(family: str, dimension: int) -> None:
    """Under the density of one coordinate, by a Gauss rule of the density's own."""
    from scipy.special import roots_gegenbauer, roots_hermitenorm, roots_legendre

    t, w = {
        "legendre": lambda: roots_legendre(12),
        "gegenbauer": lambda: roots_gegenbauer(12, dimension / 2),
        "hermite": lambda: roots_hermitenorm(12),
    }[family]()
    t = t / 3.0 if family == "hermite" else t
    values = tabulated(family, dimension, 8, 0, torch.tensor(t))[0].numpy()
    assert np.allclose((values * (w / w.sum())) @ values.T, np.eye(9), atol=1e-11)


def test_coordinates_of_a_ball_and_of_space_have_those_densities() -> None:
    for domain, family in ((Ball.of(9), "gegenbauer"), (Space.of(9), "hermite")):
        lower, upper = domain.bounds
        box = Enriched((9, 1, 1), "tanh", tuple(lower), tuple(upper))
        network = FewCoordinates.of(box, family, [((4, k),) for k in (1, 2, 3)])
        unit = np.random.default_rng(0).random((40_000, domain.numbers))
        table = network.images(network.normalise(torch.tensor(domain.place(unit))), {0: {(): torch.ones(1)}}).numpy()
        assert np.allclose(table @ table.T / 40_000, np.eye(3), atol=0.15)
    assert scattered(Ball.of(9), 10, 0).size == 10


@pytest.mark.parametrize("family", ["legendre", "gegenbauer", "hermite"])
def test_derivatives_agree_with_differences(family: str) -> None:
    network, step = sums(family), 1e-4
    theta = torch.randn(network.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def at(*moves: tuple[int, int]) -> torch.Tensor:
        moved = x.clone()
        for axis, side in moves:
            moved[:, axis] += side * step
        return network.jets(theta, network.normalise(moved), [()])[1, ()]

    jets = network.jets(theta, network.normalise(x), KEYS)
    for key in KEYS[1:]:
        if len(key) == 1:
            differences = (at((key[0], 1)) - at((key[0], -1))) / (2 * step)
        else:
            i, j = key
            signs = [(p, q) for p in (1, -1) for q in (1, -1)]
            differences = sum(p * q * at((i, p), (j, q)) for p, q in signs) / (4 * step**2)
        assert torch.allclose(jets[1, key], differences, rtol=1e-5, atol=1e-5 * float(jets[1, key].abs().max()))
    assert torch.equal(jets[-1, ()], theta[-1].expand(5))


def test_images_are_the_jets_combined_by_the_operator() -> None:
    network = sums("legendre")
    generator = torch.Generator().manual_seed(2)
    theta = torch.randn(network.size, dtype=torch.float64, generator=generator)
    x = torch.rand(7, 4, dtype=torch.float64, generator=generator)
    operator = {c: {key: torch.rand(7, dtype=torch.float64, generator=generator) for key in KEYS} for c in (0, 1)}
    jets = network.jets(theta, x, KEYS)
    wanted = sum(operator[c][key] * jets[c, key] for c in (0, 1) for key in KEYS)
    assert torch.allclose(theta[: network.weights] @ network.images(x, operator), wanted, rtol=1e-12)


def test_more_points_than_fit_together_give_the_same() -> None:
    network = sums("legendre")
    theta = torch.ones(network.size, dtype=torch.float64)
    x = torch.rand(3 * network.together(2), 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    whole = network.jets(theta, x, KEYS)
    part = network.jets(theta, x[-5:], KEYS)
    assert all(torch.allclose(whole[0, key][-5:], part[0, key], rtol=1e-13) for key in KEYS)

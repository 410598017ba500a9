"""Test solutions in sectors: exponents against transcendental equations, the equation inside, and conditions on both sides."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from vpinn.trial import CornerChart, CornerFunction
from vpinn.trial.wedge import _Sector, is_elliptic, solutions

NU = 0.3
KAPPA = 3 - 4 * NU
UNIT = np.eye(2)
FREE, HELD, ROLLER = (False, False), (True, True), (True, False)
WILLIAMS: dict[str, tuple[tuple[bool, bool], tuple[bool, bool], Callable[..., np.ndarray]]] = {
    "free": (FREE, FREE, lambda power, angle: np.sin(power * angle) ** 2 - power**2 * np.sin(angle) ** 2),
    "clamped": (HELD, HELD, lambda power, angle: np.sin(power * angle) ** 2 - power**2 * np.sin(angle) ** 2 / KAPPA**2),
    "clamped, free": (
        HELD,
        FREE,
        lambda power, angle: np.sin(power * angle) ** 2 - ((KAPPA + 1) ** 2 / 4 - power**2 * np.sin(angle) ** 2) / KAPPA,
    ),
}
"""Characteristic equations of plane strain (Williams 1952)."""


def isotropic(nu: float) -> np.ndarray:
    """Return the isotropic elasticity tensor of plane strain with μ = 1."""
    shear = np.einsum("ik,ab->iakb", UNIT, UNIT) + np.einsum("ib,ak->iakb", UNIT, UNIT)
    return 2 * nu / (1 - 2 * nu) * np.einsum("ia,kb->iakb", UNIT, UNIT) + shear


def anisotropic(n: int) -> np.ndarray:
    """Return a random symmetric positive definite tensor."""
    root = np.random.default_rng(n).normal(size=(2 * n, 2 * n))
    return (root @ root.T + np.eye(2 * n)).reshape(n, 2, n, 2)


def winding(values: np.ndarray) -> int:
    """Return the number of zeros of an analytic function inside a contour, from its values on the contour."""
    return round(float(np.ptp(np.unwrap(np.angle(values))[[0, -1]])) / (2 * np.pi))


@pytest.mark.parametrize("case", WILLIAMS)
@pytest.mark.parametrize("angle", [0.4 * np.pi, np.pi / 2, 1.2 * np.pi, 1.5 * np.pi, 1.9 * np.pi])
def test_exponents_of_elasticity(case: str, angle: float) -> None:
    """All of them: as many as the characteristic equation has zeros with 0.02 < Re λ < 3.99, each to 1e-12."""
    first, second, equation = WILLIAMS[case]
    powers = np.array([one.exponent for one in solutions(isotropic(NU), angle, (first, second), 3.99)])
    powers = np.where(np.abs(powers.imag) > 0, powers, powers.real)
    slope = (equation(powers + 1e-6, angle) - equation(powers - 1e-6, angle)) / 2e-6
    assert np.abs(equation(powers, angle) / slope).max() <= 1e-12
    s = np.linspace(0, 1, 20_000)
    corners = 0.02 - 4j, 3.99 - 4j, 3.99 + 4j, 0.02 + 4j, 0.02 - 4j
    contour = np.concatenate([a + (b - a) * s for a, b in pairwise(corners)])
    assert len(powers) == winding(equation(contour, angle))


@pytest.mark.parametrize("nu", [0.49, 0.4999, 0.49999])
def test_exponents_of_what_hardly_changes_volume(nu: float) -> None:
    """Rounding splits the double root by up to √ε λ/μ; however the corner is turned, all of it is found, with one exponent."""
    first = []
    for turn in (0.0, 0.3, 1.0):
        axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        tensor = np.einsum("ac,icke,be->iakb", axes, isotropic(nu), axes)
        found = solutions(tensor / np.abs(tensor).max(), 1.5 * np.pi, (HELD, HELD), 1.0)
        first.append(min(one.exponent.real for one in found))
    power, kappa = first[0], 3 - 4 * nu
    assert np.sin(1.5 * np.pi * power) ** 2 == pytest.approx((power / kappa) ** 2, abs=1e-4)
    assert first == pytest.approx([power] * 3, abs=1e-4)


def test_exponents_of_cracks() -> None:
    """Between free lips λ = k/2, each twice; between a clamped and a free one (k − ½)/2 ± i ln κ/(4π)."""
    free = [one.exponent for one in solutions(isotropic(NU), 2 * np.pi, (FREE, FREE), 2.0)]
    assert free == pytest.approx([0.5, 0.5, 1, 1, 1.5, 1.5, 2, 2], abs=1e-14)
    mixed = [one.exponent for one in solutions(isotropic(NU), 2 * np.pi, (HELD, FREE), 1.0)]
    expected = [(k - 0.5) / 2 + 1j * np.log(KAPPA) / (4 * np.pi) for k in (1, 1, 2, 2)]
    assert np.allclose(mixed, expected, rtol=0.0, atol=1e-13)


def test_exponents_of_anisotropic_diffusion() -> None:
    """kπ/ω', with ω' the angle that x ↦ A^(−½)x makes of ω."""
    tensor, angle = anisotropic(1), 1.3 * np.pi
    sizes, axes = np.linalg.eigh(tensor[0, :, 0, :])
    ends = np.array([[np.cos(angle / 2), np.sin(t)] for t in (-angle / 2, angle / 2)]) @ (axes / np.sqrt(sizes))
    first, last = np.arctan2(ends[:, 1], ends[:, 0])
    image = (last - first) % (2 * np.pi)
    image = image if np.linalg.det(axes) > 0 else 2 * np.pi - image
    found = [one.exponent for one in solutions(tensor, angle, ((True,), (True,)), 3.0)]
    assert found == pytest.approx([k * np.pi / image for k in range(1, len(found) + 1)], rel=1e-13)
    assert len(found) == int(3.0 * image / np.pi)


@pytest.mark.parametrize(
    ("tensor", "held"),
    [
        (isotropic(NU), (HELD, FREE)),
        (isotropic(0.49), (ROLLER, FREE)),
        (anisotropic(2), (HELD, FREE)),
        (np.einsum("ik,ab->iakb", np.eye(3), UNIT), ((True, True, False), (True, False, False))),
        (anisotropic(3), ((True, True, True), (False, False, False))),
    ],
    ids=["clamped", "roller", "anisotropic", "three Laplacians", "three components"],
)
def test_equations_and_conditions(tensor: np.ndarray, held: tuple[tuple[bool, ...], tuple[bool, ...]]) -> None:
    """Second derivatives solve the equation; values vanish on sides where they are held, tractions where not."""
    n, angle, middle = len(tensor), 1.5 * np.pi, 0.7
    found = solutions(tensor, angle, held, 3.2)
    turn = np.array([[np.cos(middle), -np.sin(middle)], [np.sin(middle), np.cos(middle)]])  # the sector's frame → the plane
    turned = np.einsum("ca,iakb,eb->icke", turn, tensor, turn)
    chart = CornerChart(tuple(CornerFunction((0.3, -0.2), middle, one) for one in found))
    generator = np.random.default_rng(0)

    def jets(theta: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
        r = generator.uniform(0.1, 1.0, len(theta))
        x = np.array([0.3, -0.2]) + r[:, None] * np.stack([np.cos(theta + middle), np.sin(theta + middle)], axis=1)
        values = chart.jets(torch.tensor(x), [(0, 0), (0, 1), (1, 1)])
        return {key: value.numpy().reshape(len(theta), n, -1) for key, value in values.items()}

    inside = jets(generator.uniform(-angle / 2, angle / 2, 30))
    pairs = {(a, b): inside[min(a, b), max(a, b)] for a in (0, 1) for b in (0, 1)}
    left = sum(np.einsum("ik,tkf->tif", turned[:, a, :, b], values) for (a, b), values in pairs.items())
    size = max(np.abs(values).max() for values in pairs.values()) * np.abs(tensor).max()
    assert np.abs(left).max() <= 1e-12 * size
    for side, theta in enumerate((-angle / 2, angle / 2)):
        here = jets(np.full(20, theta))
        normal = np.array([-np.sin(theta + middle), np.cos(theta + middle)])
        flux = sum(np.einsum("iak,a,tkf->tif", turned[:, :, :, b], normal, here[b,]) for b in (0, 1))
        plain = [k for k, one in enumerate(found) if not one.logarithm]  # others leave polynomials
        for i in range(n):
            values = (here[()] if held[side][i] else flux)[:, i, plain]
            assert np.abs(values).max() <= 1e-11 * np.abs(tensor).max()


def test_not_elliptic() -> None:
    """Real characteristics, or a component without second derivatives, as the pressure of a flow."""
    wave, flow = np.zeros((1, 2, 1, 2)), np.einsum("ik,ab->iakb", np.diag([1.0, 1.0, 0.0]), UNIT)
    wave[0, :, 0, :] = np.diag([1.0, -1.0])
    assert not is_elliptic(wave)
    assert not is_elliptic(flow)
    for slope in (0.3, 0.7310585786300049, -2.0):  # of rank one: zero in one direction, which need not be looked at
        along = np.array([1.0, slope])
        assert not is_elliptic(-0.25 * np.einsum("a,b->ab", along, along)[None, :, None, :])
    assert is_elliptic(np.diag([1.0, 1e-6])[None, :, None, :])
    assert is_elliptic(isotropic(NU))
    turn = np.sqrt(0.5) * np.array([[1.0, 1.0], [-1.0, 1.0]])
    stiff = np.einsum("ac,icke,be->iakb", turn, isotropic(0.4999995), turn)
    assert not is_elliptic(stiff / np.abs(stiff).max())  # rounding moves its roots so far that they cannot be told apart
    assert is_elliptic(anisotropic(3))


def test_a_number_that_is_no_exponent_has_no_functions() -> None:
    """Rounding leaves such numbers where a sector is all but a half-plane or a tensor spans many sizes."""
    assert list(_Sector(isotropic(NU), 1.5 * np.pi, (HELD, FREE)).functions(1.2345 + 0j)) == []

"""Make random features orthonormal in L² over quadrature points, times a distance that vanishes where the unknown is prescribed.

The functions D·1 and D·σ(w·x + b), with the distance D, are nearly linearly dependent. Their values at the points, as columns,
are factorised into QR block by block, and the factor R has the same singular values and right singular vectors. Directions
with a singular value below a share of the largest are left out. The others, divided by their singular values, are orthonormal
in L², and a second pass removes the rounding errors of the first. Start from ``make_space``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import ufl
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular, svd
from torch import Tensor
from ufl.core.expr import Expr

from vpinn.domain import Points, PointSet
from vpinn.errors import InputError
from vpinn.forms import Background, evaluate
from vpinn.placement import HOST, host
from vpinn.problem import Problem
from vpinn.problem.operators import gradient
from vpinn.trial import Features, Trial

Array = NDArray[np.float64]
Derivative = tuple[int, ...]
SMALLEST = 1e-11
"""Singular value, relative to the largest, up to which a direction is left out."""
BLOCK = 8_000
"""Number of points that are factorised together."""


@dataclass(frozen=True, eq=False)
class OrthonormalSpace:
    """Orthonormal functions for every component of a problem's unknowns, zero where these are prescribed.

    Attributes:
        problem: the problem.
        trial: trial space with the features as network, whose unknowns vanish where they are prescribed.
        theta: parameters of the features, with a last layer of zeros [trial.network.size].
        distances: distance D of every component, a UFL expression of the coordinates.
        maps: for every component the matrix from coefficients of the orthonormal functions to those of the constant and of the
            features [1 + features, rank].
        spectra: for every component the singular values of its functions, relative to the largest, descending.
    """

    problem: Problem
    trial: Trial
    theta: Tensor
    distances: tuple[Expr, ...]
    maps: tuple[Array, ...]
    spectra: tuple[Array, ...]

    @property
    def ranks(self) -> tuple[int, ...]:
        """Number of orthonormal functions of every component."""
        return tuple(one.shape[1] for one in self.maps)

    @property
    def size(self) -> int:
        """Number of orthonormal functions of all components."""
        return sum(self.ranks)

    def jets(self, points: Points, wanted: Iterable[Derivative]) -> list[dict[Derivative, Array]]:
        """Return the functions' values and derivatives at points.

        Args:
            points: n points, with their cells.
            wanted: derivatives by coordinates, each with sorted axes, up to the second order; () for values.

        Returns:
            derivative → values [n, rank], for every component.
        """
        asked = sorted(set(wanted), key=len)
        found: list[dict[Derivative, Array]] = []
        raw = raw_jets(self.trial, self.theta, points, asked)
        together: dict[int, dict[Derivative, Array]] = {}
        for distance, linear in zip(self.distances, self.maps, strict=True):
            if id(linear) not in together:
                factors = _factors(distance, points, self.trial.background, asked)
                together[id(linear)] = {key: _product(factors, raw, key) @ linear for key in asked}
            found.append(together[id(linear)])
        return found

    def parameters(self, coefficients: Sequence[Array]) -> Tensor:
        """Return the parameters [trial.network.size] of a function, from its coefficients for every component [rank]."""
        theta = self.theta.clone()
        weight, bias = self.trial.network.unpack(theta)[-1]
        for row, (linear, own) in enumerate(zip(self.maps, coefficients, strict=True)):
            raw = linear @ own
            bias[row], weight[row] = float(raw[0]), torch.from_numpy(raw[1:].copy())
        return theta


def make_space(problem: Problem, trial: Trial, theta: Tensor, points: PointSet, smallest: float = SMALLEST) -> OrthonormalSpace:
    """Return the orthonormal functions in the span of features.

    Args:
        problem: the problem.
        trial: trial space with features as network, whose unknowns vanish where they are prescribed.
        theta: parameters with drawn features [trial.network.size].
        points: quadrature points that cover the domain.
        smallest: singular value, relative to the largest, up to which a direction is left out, > 0.

    Raises:
        InputError: there are fewer points than features.
    """
    assert isinstance(trial.network, Features)
    columns = 1 + trial.network.layers[1]
    if points.size < columns:
        raise InputError(
            f"{points.size:,} quadrature points are too few for {columns:,} features; raise quadrature.degree, refine the "
            "mesh, or lower solver.features"
        )
    distances = distances_of(problem, trial)
    made: dict[str, tuple[Array, Array]] = {}
    maps, spectra = [], []
    for distance in distances:
        key = repr(distance)
        if key not in made:
            made[key] = _orthonormal(trial, theta, distance, points, smallest)
        maps.append(made[key][0])
        spectra.append(made[key][1])
    return OrthonormalSpace(problem, trial, theta, distances, tuple(maps), tuple(spectra))


def distances_of(problem: Problem, trial: Trial) -> tuple[Expr, ...]:
    """Return for every component the factor of the network's output in the unknown, a UFL expression."""
    found: list[Expr] = []
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            unit = [1.0 if k == len(found) else 0.0 for k in range(trial.network.outputs)]
            value = trial.unknowns[unknown.name]
            own = value[component] if unknown.shape else value
            found.append(ufl.replace(own, {trial.function: ufl.as_vector(list(map(ufl.as_ufl, unit)))}))
    return tuple(found)


def raw_jets(trial: Trial, theta: Tensor, points: Points, wanted: Sequence[Derivative]) -> dict[Derivative, Array]:
    """Return derivative → values of the constant and of the features at points [n, 1 + features]."""
    network = trial.network
    assert isinstance(network, Features)
    with torch.no_grad():
        jets = network.features(theta, network.normalise(torch.tensor(points.x, device=HOST)), wanted)
    n = len(points)
    lower = {key for one in wanted for key in _parts(one)}
    return {key: np.concatenate([np.full((n, 1), float(not key)), host(jets[key])], axis=1) for key in lower}


def _orthonormal(trial: Trial, theta: Tensor, distance: Expr, points: PointSet, smallest: float) -> tuple[Array, Array]:
    """Return the map to orthonormal functions [1 + features, rank], and the singular values relative to the largest."""

    def blocks() -> Iterable[Array]:
        for index in points.chunks(BLOCK):
            part = points.take(index)
            values = raw_jets(trial, theta, part, [()])[()] * _factors(distance, part, trial.background, [()])[()][:, None]
            yield np.sqrt(part.w)[:, None] * values

    factor = _triangle(blocks())
    lengths = np.linalg.norm(factor, axis=0)
    lengths[lengths == 0.0] = 1.0
    _, values, rows = svd(factor / lengths, full_matrices=False)
    rank = int((values > smallest * values[0]).sum())
    linear = (rows[:rank].T / values[:rank]) / lengths[:, None]
    rest = _triangle(block @ linear for block in blocks())
    linear = solve_triangular(rest.T, linear.T, lower=True).T
    return linear, values / values[0]


def _triangle(blocks: Iterable[Array]) -> Array:
    """Return the triangular factor R of all blocks, stacked on top of each other."""
    factor: Array | None = None
    for block in blocks:
        stacked = block if factor is None else np.concatenate([factor, block])
        factor = np.asarray(qr(stacked, mode="r", check_finite=False)[0][: stacked.shape[1]])
    assert factor is not None
    return factor


def _factors(distance: Expr, points: Points, background: Background, wanted: Sequence[Derivative]) -> dict[Derivative, Array]:
    """Return derivative → values of a distance at points [n]."""
    keys = sorted({key for one in wanted for key in _parts(one)}, key=len)
    d = points.x.shape[1]
    expressions = []
    for key in keys:
        value = distance
        for axis in key:
            value = gradient(value, d)[axis]
        expressions.append(value)
    return dict(zip(keys, evaluate(expressions, points, background), strict=True))


def _parts(key: Derivative) -> set[Derivative]:
    """Return the derivatives that occur in the product rule for ``key``: those by some of its axes."""
    if len(key) > 2:
        raise InputError("problems in time take derivatives in space up to second order; split the equation into several")
    return {(), key, *((axis,) for axis in key)}


def _product(a: dict[Derivative, Array], b: dict[Derivative, Array], key: Derivative) -> Array:
    """Return the derivative ``key`` of the product of a [n] and b [n, m], from their derivatives."""
    if len(key) == 0:
        return a[()][:, None] * b[()]
    if len(key) == 1:
        return a[key][:, None] * b[()] + a[()][:, None] * b[key]
    i, j = (key[0],), (key[1],)
    return a[key][:, None] * b[()] + a[i][:, None] * b[j] + a[j][:, None] * b[i] + a[()][:, None] * b[key]

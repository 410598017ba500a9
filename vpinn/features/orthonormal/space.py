"""The orthonormal feature space: random features that vanish where values are imposed, made orthonormal over quadrature points.

Columns D·1 and D·σ(w·x + b), with a distance D that vanishes where the unknown is given, are nearly dependent. The triangular
factor of a QR factorisation that takes the points block by block has their singular values and right singular vectors; directions
whose singular values are below a share of the largest are left out, and the others, over their singular values, are orthonormal
in L². A second pass takes away what rounding leaves.
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
"""Singular value, relative to the largest, below which a direction is left out."""
BLOCK = 8_000
"""Points that are factorised together."""


@dataclass(frozen=True, eq=False)
class OrthonormalSpace:
    """Orthonormal functions for every component of a problem's unknowns, zero where these are given.

    Attributes:
        problem: the problem.
        trial: whose network has the features, and whose unknowns vanish where they are given.
        theta: parameters with the features, last layer zero [trial.network.size].
        distances: of every component, UFL expressions of the coordinates.
        maps: of every component, from coefficients of orthonormal functions to those of the constant and of the features
            [1 + features, rank].
        spectra: singular values of the columns of every component, relative to the largest, descending.
    """

    problem: Problem
    trial: Trial
    theta: Tensor
    distances: tuple[Expr, ...]
    maps: tuple[Array, ...]
    spectra: tuple[Array, ...]

    @property
    def ranks(self) -> tuple[int, ...]:
        """Number of functions of every component."""
        return tuple(one.shape[1] for one in self.maps)

    @property
    def size(self) -> int:
        """Number of functions of all components."""
        return sum(self.ranks)

    def jets(self, points: Points, wanted: Iterable[Derivative]) -> list[dict[Derivative, Array]]:
        """Return the functions' values and derivatives at points.

        Args:
            points: n of them, with their cells.
            wanted: derivatives by coordinates, sorted, up to the second; () for values.

        Returns:
            for every component derivative → [n, rank].
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
        """Return the parameters [size] of the trial space whose components have the given coefficients [rank] each."""
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
        trial: with features, and unknowns that vanish where they are given.
        theta: parameters with the features drawn.
        points: quadrature points that cover the domain.
        smallest: relative singular value below which a direction is left out, > 0.

    Raises:
        InputError: there are fewer points than features.
    """
    assert isinstance(trial.network, Features)
    columns = 1 + trial.network.layers[1]
    if points.size < columns:
        raise InputError(
            f"{points.size:,} quadrature points cannot tell {columns:,} features apart; raise quadrature.degree, refine the "
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
    """Return what the network's outputs are multiplied by in the unknowns, component by component."""
    found: list[Expr] = []
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            unit = [1.0 if k == len(found) else 0.0 for k in range(trial.network.outputs)]
            value = trial.unknowns[unknown.name]
            own = value[component] if unknown.shape else value
            found.append(ufl.replace(own, {trial.function: ufl.as_vector(list(map(ufl.as_ufl, unit)))}))
    return tuple(found)


def raw_jets(trial: Trial, theta: Tensor, points: Points, wanted: Sequence[Derivative]) -> dict[Derivative, Array]:
    """Return the constant and the features at points, derivative → [n, 1 + features]."""
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
    """Return the triangular factor of all blocks, one upon the other."""
    factor: Array | None = None
    for block in blocks:
        stacked = block if factor is None else np.concatenate([factor, block])
        factor = np.asarray(qr(stacked, mode="r", check_finite=False)[0][: stacked.shape[1]])
    assert factor is not None
    return factor


def _factors(distance: Expr, points: Points, background: Background, wanted: Sequence[Derivative]) -> dict[Derivative, Array]:
    """Return a distance and its derivatives at points, [n] each."""
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
    """Return the derivatives that the product rule takes for one: all ways to leave some of its axes out."""
    if len(key) > 2:
        raise InputError("a march takes derivatives up to the second; split the equation into several of lower order")
    return {(), key, *((axis,) for axis in key)}


def _product(a: dict[Derivative, Array], b: dict[Derivative, Array], key: Derivative) -> Array:
    """Return a derivative of the product of a [n] and b [n, m]."""
    if len(key) == 0:
        return a[()][:, None] * b[()]
    if len(key) == 1:
        return a[key][:, None] * b[()] + a[()][:, None] * b[key]
    i, j = (key[0],), (key[1],)
    return a[key][:, None] * b[()] + a[i][:, None] * b[j] + a[j][:, None] * b[i] + a[()][:, None] * b[key]

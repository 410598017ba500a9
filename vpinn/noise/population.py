"""Exact statistics of single-point gradients over all quadrature points at fixed parameters (`population`).

Points are regarded as a finite population from which batches are samples. Its covariance gives the predictions that measured
batches are compared with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.errors import InputError
from vpinn.noise.contributions import FLOPS, Contributions
from vpinn.noise.draws import Drawer, Draws, repeat, step_cost
from vpinn.noise.gradients import chunks, integrands, point_gradients, streams
from vpinn.noise.questions import OpenSamples
from vpinn.objective import Objective
from vpinn.placement import host
from vpinn.sampling import NOTHING, Sampler, State, Uniform

Array = NDArray[np.float64]
LIMIT = 400_000
"""Largest number of quadrature points of a problem for which a report is made, since every point is evaluated."""
CHUNK = 1000
"""Number of estimates that are evaluated together."""
LOSS, OFF, ALONG, LED = range(4)
"""Columns of the samples of ``Population.seen``; directions begin at ``LED``."""
PILOT = 600
"""Number of points per measure from which the leading directions of the covariance are computed."""


@dataclass(frozen=True)
class Population:
    """Statistics of the influences sᵢ of all points on ∇J at one θ; see ``gradients.point_gradients``.

    Attributes:
        objective: Objective J.
        theta: Parameters [size].
        gradient: ∇J [size].
        directions: Orthonormal directions in which gradients are stored, as columns [size, k].
        along: For every measure, components of sᵢ along the directions [N, k].
        squares: For every measure, ‖sᵢ‖² [N].
        moments: For every measure, Σ sᵢ² by parameter [size].
        totals: For every measure, Σ sᵢ [size].
        kept: Contributions of the points, from which batches are summed; None if they are not needed or too large.
        quadratic: Second-order part of the variances of two-batch estimates [measures, measures, size], see
            ``Contributions.products``; None for estimates from one batch, or if it was not computed.
        loss_quadratic: The same for the variance of the loss [measures, measures].
    """

    objective: Objective
    theta: Tensor
    gradient: Array
    directions: Array
    along: tuple[Array, ...]
    squares: tuple[Array, ...]
    moments: tuple[Array, ...]
    totals: tuple[Array, ...]
    kept: Contributions | None = None
    quadratic: Array | None = None
    loss_quadratic: Array | None = None

    @property
    def square(self) -> float:
        """‖∇J‖²."""
        return float(self.gradient @ self.gradient)

    @cached_property
    def traces(self) -> tuple[float, ...]:
        """Tr Σ of the single-point gradients N sᵢ of every measure."""
        return tuple(len(q) * float(q.sum()) - float(t @ t) for q, t in zip(self.squares, self.totals, strict=True))

    @cached_property
    def trace(self) -> float:
        """Tr Σ of a point drawn from all measures in proportion to their points: Σ_m tr Σ_m N/N_m with N = Σ_m N_m."""
        n = self.objective.size
        return sum(trace * n / len(q) for trace, q in zip(self.traces, self.squares, strict=True)) / self.batches

    @property
    def batches(self) -> int:
        """Number of independent batches per estimate: 2 for two-batch estimates of a weak form, else 1.

        The noise of first order is the mean over both batches, so that its variance is halved.
        """
        return 2 if self.objective.test_space is not None and self.objective.estimator == "two-batch" else 1

    @cached_property
    def _single(self) -> tuple[float, ...]:
        """For every measure, variance of a single-point gradient N sᵢ, summed over the directions."""
        return tuple(float(len(along) ** 2 * along.var(0).sum()) for along in self.along)

    @cached_property
    def spread(self) -> Array:
        """Variances [k], along the directions, of a point drawn from all measures in proportion to their points."""
        n = self.objective.size
        parts = [n * (len(a) * (a**2).sum(0) - a.sum(0) ** 2) / len(a) for a in self.along]
        return np.asarray(sum(parts)) / self.batches

    def variance(self, samplers: Sequence[Sampler], learned: Sequence[State] = ()) -> float:
        """Return the predicted tr Cov of batch gradients by the closed forms of the samplers; nan if there is none.

        A sampler's variance relative to uniform draws is computed along the directions, and assumed to be the same in all others.
        For products of two batches there is a closed form only for uniform draws with replacement.

        Args:
            samplers: One sampler per measure.
            learned: States of adaptive samplers after pilots; by default they have learned nothing.
        """
        states = learned or [NOTHING] * len(samplers)
        shares = np.array([1.0 / sampler.size for sampler in samplers])
        for k, (sampler, state, along) in enumerate(zip(samplers, states, self.along, strict=True)):
            if not (isinstance(sampler, Uniform) and sampler.replacement) and self._single[k] > 0.0:
                shares[k] = sum(sampler.variance(column, state) for column in along.T) / self._single[k]
        known = np.allclose(shares, [1.0 / sampler.size for sampler in samplers], rtol=1e-6)
        return self.shared(shares) if self.batches == 1 or known else math.nan

    def shared(self, shares: Array) -> float:
        """Return tr Cov of batch gradients if the variance due to every measure is its tr Σ times a share.

        Args:
            shares: Share of every measure [measures], > 0; for uniform draws of b points it is 1/b.
        """
        linear = float(shares @ self.traces) / self.batches
        return linear if self.quadratic is None else linear + float(shares @ self.quadratic.sum(2) @ shares)

    def linear(self, samplers: Sequence[Sampler]) -> float:
        """Return the part of ``variance`` that is proportional to 1/b, for uniform draws; it is all of it for one batch."""
        return sum(trace / sampler.size for trace, sampler in zip(self.traces, samplers, strict=True)) / self.batches

    def variances(self, samplers: Sequence[Sampler]) -> Array:
        """Return the predicted variances [size] of the entries of gradients from uniform draws; their sum is ``variance``."""
        shares = np.array([1.0 / sampler.size for sampler in samplers])
        parts = zip(shares, self.squares, self.moments, self.totals, strict=True)
        linear = np.asarray(sum(share * (len(q) * m - t**2) for share, q, m, t in parts)) / self.batches
        return linear if self.quadratic is None else linear + np.einsum("j,k,jkp->p", shares, shares, self.quadratic)

    def repeat(self, draw: Drawer, count: int) -> Draws:
        """Return ``count`` independent estimates at θ, from stored contributions or through the network."""
        return repeat(self.objective, draw, self.theta, count) if self.kept is None else self.kept.repeat(draw, count)

    def cost(self, samplers: Sequence[Sampler]) -> float:
        """Return the cost of one estimate, in points through the network."""
        drawn = self.batches * sum(sampler.size for sampler in samplers)
        return step_cost(self.objective, drawn, self.batches) if self.kept is None else self.kept.cost

    def seen(self, samplers: Sequence[Sampler], draw: Drawer, fewest: int) -> OpenSamples:
        """Return samples of estimates at θ, with the columns loss, ‖ĝ − ∇J‖², ĝ·∇J, and ĝ − ∇J along the k directions.

        The columns have the numbers ``LOSS``, ``OFF``, ``ALONG``, and ``LED`` to ``LED`` + k − 1.

        Args:
            samplers: One sampler per measure, for the cost.
            draw: Function that draws a batch with them.
            fewest: Initial number of samples.
        """

        def looked(count: int) -> Array:
            parts = []
            for done in range(0, count, CHUNK):
                found = self.repeat(draw, min(CHUNK, count - done))
                off = found.gradients - self.gradient
                parts.append(
                    np.column_stack([found.losses, (off**2).sum(1), found.gradients @ self.gradient, off @ self.directions])
                )
            return np.concatenate(parts)

        return OpenSamples(looked, self.cost(samplers), fewest)


def population(objective: Objective, theta: Tensor, generator: np.random.Generator, directions: Array | int = 48) -> Population:
    """Compute the statistics of the gradients of all points at θ.

    Args:
        objective: Objective J.
        theta: Parameters [size].
        generator: Generator of the points from which leading directions of the covariance are computed.
        directions: Orthonormal directions as columns [size, k], or the number of leading directions to compute, which doubles
            the work.

    Raises:
        InputError: There are too many points, or gradients are zero or not finite.
    """
    if objective.size > LIMIT:
        raise InputError(
            f"the noise report evaluates every quadrature point, and there are {objective.size:,}, more than {LIMIT:,}; "
            "lower quadrature.degree or take a coarser mesh: the noise per point hardly depends on them"
        )
    size = objective.measures[0].network.size
    counts = [m.points.size for m in objective.measures]
    totals = [np.zeros(size) for _ in counts]
    squares, moments = [np.zeros(n) for n in counts], [np.zeros(size) for _ in counts]
    chosen = [np.sort(generator.choice(n, min(n, PILOT), replace=False)) for n in counts]
    pilot: list[Array] = []
    known = np.empty((size, 0)) if isinstance(directions, int) else directions
    along = [np.zeros((n, known.shape[1])) for n in counts]
    for k, start, part in point_gradients(objective, theta):
        s = host(part)
        along[k][start : start + len(s)] = s @ known
        totals[k] += s.sum(0)
        square = s**2
        squares[k][start : start + len(s)] = square.sum(1)
        moments[k] += square.sum(0)
        inside = chosen[k][(chosen[k] >= start) & (chosen[k] < start + len(s))] - start
        pilot.append(counts[k] * s[inside])
    gradient = np.asarray(sum(totals)) if objective.test_space is None else host(objective.gradient(theta)[1])
    _refuse(gradient, squares)
    if isinstance(directions, int) and directions:
        known = _leading(np.concatenate(pilot), directions)
        along = [np.zeros((n, known.shape[1])) for n in counts]
        for k, start, part in point_gradients(objective, theta):
            along[k][start : start + len(part)] = host(part) @ known
    return Population(objective, theta, gradient, known, tuple(along), tuple(squares), tuple(moments), tuple(totals))


def kept(people: Population, generator: np.random.Generator, operations: float = FLOPS) -> Population:
    """Return the population with the contributions of its points and the second-order parts of variances.

    Args:
        people: Statistics over all points.
        generator: Generator of the random signs in ``Contributions.products``.
        operations: Floating-point operations for the second-order parts.
    """
    found = Contributions.at(people.objective, people.theta)
    added = None if found is None else found.products(generator, operations)
    if added is None:
        return replace(people, kept=found)
    return replace(people, kept=found, quadratic=added[..., :-1], loss_quadratic=added[..., -1])


def _leading(rows: Array, count: int) -> Array:
    """Return at most ``count`` leading principal directions of rows [n, size] as columns, by the smaller Gram matrix."""
    centred = rows - rows.mean(0)
    if len(centred) >= centred.shape[1]:
        return np.asarray(np.linalg.eigh(centred.T @ centred)[1][:, : -count - 1 : -1])
    values, vectors = np.linalg.eigh(centred @ centred.T)
    keep = values > 1e-12 * values[-1]
    basis, _ = np.linalg.qr(centred.T @ vectors[:, keep][:, : -count - 1 : -1])
    return np.asarray(basis)


def _refuse(gradient: Array, squares: Sequence[Array]) -> None:
    """Raise an InputError if the gradient is not finite, or zero at every point."""
    if not np.isfinite(gradient).all():
        raise InputError("the gradient of this problem is not finite at the network's initial weights; try another solver.seed")
    if not gradient.any() and not any(q.any() for q in squares):
        raise InputError("the gradient of this problem is zero at every point: there is no noise to measure; check the form")


def point_losses(objective: Objective, theta: Tensor) -> tuple[Array, ...]:
    """Return the weighted densities wℓ of the points of every measure [N]; in a weak form these are penalties only."""
    found: list[list[Array]] = [[] for _ in objective.measures]
    with torch.no_grad():
        for k, _, measure, points in chunks(objective):
            density, _ = integrands(measure, points, streams(measure.network, theta, points.x, measure.derivatives))
            found[k].append(host(points.w * density))
    return tuple(np.concatenate(parts) for parts in found)

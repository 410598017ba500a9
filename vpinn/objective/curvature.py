"""The curvature of the objective as a sum over rows, G = Σ sᵢ aᵢaᵢᵀ with rows aᵢ and signs sᵢ.

| objective | row aᵢ | G is the matrix of |
|---|---|---|
| squares (strong forms, penalties) | √w ∂R/∂θ | Gauss–Newton |
| squared dual norm (weak forms) | L⁻¹ ∂r/∂θ, LLᵀ the Gram matrix of the test functions | Gauss–Newton |
| energy ∫ℓ | √(w|λₖ|) vₖᵀ ∂(jets)/∂θ, λₖ and vₖ the eigenpairs of ∂²ℓ at the point | energy natural gradient |

Here w are quadrature weights, R and r residuals, ℓ the density of an energy, and jets the values and derivatives of the
network. The sign sᵢ is −1 if a weight or an eigenvalue is negative (Nitsche's terms, energies that are not convex), else 1.
Energy natural
gradient: Müller & Zeinhofer 2023 (arXiv 2302.13163). Start with `curvature`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from vpinn.forms import Value
from vpinn.objective.curvature_rows import BLOCKS, Curvature, gram_of
from vpinn.objective.measure import Measure, Prepared
from vpinn.objective.objective import Batch, Objective
from vpinn.objective.parts import Part, filled
from vpinn.trial import Network
from vpinn.trial.jacobian import Keys, jet_jacobian

Jacobian: TypeAlias = Callable[[Network, Tensor, Tensor, Keys, Tensor], Tensor]
"""``jet_jacobian`` (derivatives by all parameters) or ``last_layer_jacobian`` (by those of the last layer)."""
ROWS_BYTES = 1e9
"""Memory in bytes up to which the rows are stored; above, only their sum G is."""
SINGULAR = 1e-13
"""Eigenvalues of ∂²ℓ below this share of the largest one count as zero."""


@dataclass(frozen=True)
class _Share:
    """The rows that one part of the points contributes, r per point.

    Attributes:
        part: n points with their measure.
        factors: factors of the K jets in the rows [r, K, n].
        signs: signs of the rows [r, n].
        residual: ρ of the rows [r, n]; zero for an energy.
    """

    part: Part
    factors: Tensor
    signs: Tensor
    residual: Tensor


def curvature(objective: Objective, theta: Tensor, parts: Batch | None = None, jacobian: Jacobian = jet_jacobian) -> Curvature:
    """Return the curvature over all points, or an estimate of it from drawn points.

    The estimate is unbiased, except for a squared dual norm, where it is the curvature of the square over the batch.

    Args:
        objective: objective of any formulation.
        theta: parameters [size], float64.
        parts: drawn points; None for all points.
        jacobian: function that differentiates by all parameters or by those of the last layer.

    Raises:
        InputError: the form has derivatives of order three or more.
    """
    if objective.test_space is not None:
        return _of_dual_norm(objective, theta, parts, jacobian)
    energy = not is_sum_of_squares(objective)
    split = _split_energy if energy else _split_squares
    group = objective.placement.group
    shares = list(objective.over_parts(lambda part: split(part, theta), filled(parts or objective.parts())))
    signs = _joined([share.signs for share in shares], theta)
    residual = None if energy else _joined([share.residual for share in shares], theta)

    def image(moved: Tensor) -> Tensor:
        return _joined([_energy_image(share, moved) if energy else split(share.part, moved).residual for share in shares], moved)

    over, size = objective.over_parts, _width(objective, theta, jacobian)
    if sum(group.counts(signs.numel())) * size * 8 <= ROWS_BYTES:
        rows, at = theta.new_empty(signs.numel(), size), 0
        for block in over(lambda share: _rows(share, theta, jacobian), shares):
            rows[at : at + len(block)] = block
            at += len(block)
        return Curvature(rows, signs, residual, image, over=over, group=group, order=_order(objective, shares, theta))
    total = theta.new_zeros(size, size)
    for gram in over(lambda share: gram_of(_rows(share, theta, jacobian), _joined([share.signs], theta)), shares):
        total += gram
    return Curvature(theta.new_zeros(0, size), signs, residual, image, group.sum(total)[0], over, group)


def _order(objective: Objective, shares: Sequence[_Share], theta: Tensor, tested: int = 0) -> Tensor | None:
    """Return the number of every row's measure and square [rows], larger ones for tested rows; None in a group of one."""
    if objective.placement.group.size == 1:
        return None
    place = {id(measure): k for k, measure in enumerate((*objective.measures, *objective.controlled))}
    found = [
        np.repeat(place[id(share.part[0])] + np.arange(len(share.signs)) / max(1, len(share.signs)), share.signs.shape[1])
        for share in shares
    ]
    return torch.from_numpy(np.concatenate([*found, np.full(tested, float(len(place)))])).to(theta)


def _width(objective: Objective, theta: Tensor, jacobian: Jacobian) -> int:
    """Return the number of parameters by which the rows are differentiated."""
    network = objective.measures[0].network
    return jacobian(network, theta, theta.new_zeros(1, network.dimension), [], theta.new_zeros(1, 0, 1)).shape[2]


def count_rows(objective: Objective) -> int:
    """Return the number of rows: one per test function and per square at a point; for an energy, at most one per jet."""
    tested = 0 if objective.test_space is None else objective.test_space.size
    roots = [len(m.tape.moving.outputs) - 1 - len(m.tests) for m in objective.measures]
    energy = objective.test_space is None and not is_sum_of_squares(objective)
    each = [len(m.keys) for m in objective.measures] if energy else roots
    return tested + sum(m.points.size * count for m, count in zip(objective.measures, each, strict=True))


def is_sum_of_squares(objective: Objective) -> bool:
    """Return whether the objective is ½ Σ w R² over the points, as for a strong form."""
    return objective.test_space is None and all(len(measure.tape.moving.outputs) > 1 for measure in objective.measures)


def _joined(parts: Sequence[Tensor], like: Tensor) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts]) if parts else like.new_zeros(0)


def _rows(share: _Share, theta: Tensor, jacobian: Jacobian) -> Tensor:
    measure, points = share.part
    return jacobian(measure.network, theta, points.x, measure.keys, share.factors).flatten(0, 1)


def _leaves(measure: Measure, points: Prepared, theta: Tensor) -> list[Tensor]:
    """Return the jets that the integrands depend on [n] each, as leaves for autograd."""
    jets = measure.network.jets(theta, points.x, measure.derivatives)
    return [jets[key].detach().clone().requires_grad_() for key in measure.keys]


def _slopes(value: Value, leaves: Sequence[Tensor], again: bool = False) -> list[Tensor]:
    """Return the derivatives [n] of values at points by the jets there; if ``again``, they can be differentiated once more."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(value.sum(), leaves, create_graph=again, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if slope is None else slope for leaf, slope in zip(leaves, found, strict=True)]


def _outputs(part: Part, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return coefficients of test functions and roots [outputs, n], and their derivatives by the jets [outputs, K, n]."""
    measure, points = part
    leaves = _leaves(measure, points, theta)
    _, *outputs = measure.tape.moving([*points.fixed, *leaves])
    values, slopes = points.w.new_zeros(len(outputs), len(points.w)), points.w.new_zeros(len(outputs), len(leaves), len(points.w))
    for k, output in enumerate(outputs):
        values[k] = output.detach() if isinstance(output, Tensor) else output
        for i, slope in enumerate(_slopes(output, leaves)):
            slopes[k, i] = slope
    return values, slopes


def _split_squares(part: Part, theta: Tensor) -> _Share:
    """Return rows of ½ Σ w R², one per root R."""
    return _squares(part, *_outputs(part, theta))


def _squares(part: Part, values: Tensor, slopes: Tensor) -> _Share:
    """Return rows of ½ Σ w R² for the outputs [outputs, n] of a part, and their derivatives [outputs, K, n]."""
    measure, points = part
    size, first = points.w.abs().sqrt(), len(measure.tests)
    signs = torch.where(points.w < 0, -1.0, 1.0).to(size).expand(len(values) - first, -1)
    return _Share(part, slopes[first:] * size, signs, values[first:] * size)


def _split_energy(part: Part, theta: Tensor) -> _Share:
    """Return the rows of an energy, one per eigenvalue of ∂²ℓ; eigenvalues that are zero at all points are left out.

    Eigenvalues can be compared only where all jets have one unit, so that derivatives are taken along the network's coordinates.
    """
    measure, points = part
    leaves = _leaves(measure, points, theta)
    density = measure.tape.moving([*points.fixed, *leaves])[0]
    second = torch.stack([torch.stack(_slopes(slope, leaves)) for slope in _slopes(density, leaves, again=True)])
    lower, upper = measure.network.lower, measure.network.upper
    stretch = [math.prod(2.0 / (upper[axis] - lower[axis]) for axis in derivative) for _, derivative in measure.keys]
    unit = points.w.new_tensor(stretch)  # of the jets [K], with derivatives by coordinates from −1 to 1
    values, vectors = torch.linalg.eigh(second.permute(2, 0, 1) * unit[:, None] * unit)  # [n, K], [n, K, K]
    used = values.abs().amax(0) > SINGULAR * values.abs().max()
    weighted = (points.w[:, None] * values)[:, used]
    factors = (vectors[:, :, used] / unit[:, None] * weighted.abs().sqrt()[:, None]).permute(2, 1, 0).contiguous()
    return _Share(part, factors, torch.sign(weighted).T, torch.zeros_like(weighted.T))


def _energy_image(share: _Share, theta: Tensor) -> Tensor:
    measure, points = share.part
    return torch.einsum("rkn,kn->rn", share.factors, torch.stack(_leaves(measure, points, theta)).detach())


def _of_dual_norm(objective: Objective, theta: Tensor, parts: Batch | None, jacobian: Jacobian) -> Curvature:
    """Return the rows of penalties, followed by this worker's share of those of ½‖r‖² in the dual norm."""
    space, size = objective.test_space, _width(objective, theta, jacobian)
    assert space is not None
    group = objective.placement.group
    own = group.share(space.size)

    def columns(part: Part) -> tuple[_Share, Tensor, Tensor | None]:
        """Return the squares, their rows, and the residual followed by its derivatives [outputs, tests, 1 + size]."""
        measure, points = part
        found = _outputs(part, theta)
        share = _squares(part, *found)
        squared = _rows(share, theta, jacobian) if share.signs.numel() else theta.new_empty(0, size)
        if measure.contraction is None or points.frame is None:
            return share, squared, None
        values, slopes = (part[: len(measure.tests)] for part in found)
        rows = jacobian(measure.network, theta, points.x, measure.keys, slopes)
        wide = list(torch.cat([values[:, :, None], rows], 2))
        w, frame, aligned = points.w, points.frame, points.aligned
        return share, squared, measure.contraction.assemble(measure.tests, wide, w, frame, aligned, objective.outputs)

    shares = list[_Share]()
    squares = list[Tensor]()
    put = objective.placement.put
    tested: Tensor | None = None
    for share, block, part in objective.over_parts(columns, filled(parts or objective.parts())):
        shares.append(share)
        squares.append(block)
        if part is not None:
            tested = part if tested is None else tested.add_(part)
    if tested is None:
        tested = theta.new_zeros(objective.outputs, space.space.size, 1 + size)
    spread = torch.tensor_split(group.sum(tested)[0], BLOCKS, 2)
    whitened = torch.cat([put(w) for w in objective.over_parts(space.whiten, spread)], 1)[own]
    rows = torch.cat([*squares, whitened[:, 1:]])

    def with_squares(residuals: Sequence[Tensor], whitened: Tensor) -> Tensor:
        return torch.cat([*(residual.reshape(-1) for residual in residuals), whitened])

    def image(moved: Tensor) -> Tensor:
        squares = [_split_squares(share.part, moved).residual for share in shares if share.signs.numel()]
        return with_squares(squares, put(space.whiten(objective.residual(moved, parts)[:, :, None]))[own, 0])

    signs = with_squares([share.signs for share in shares], rows.new_ones(len(whitened)))
    residual = with_squares([share.residual for share in shares], whitened[:, 0])
    order = _order(objective, shares, theta, len(whitened))
    return Curvature(rows, signs, residual, image, over=objective.over_parts, group=group, order=order)

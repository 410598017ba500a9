"""Second derivatives along drawn coordinates: the equations of a strong form from some of their second derivatives.

An equation R = R₀ + Σᵢ tᵢ has a term tᵢ = cᵢ ∂²N/∂xᵢ² for each of d coordinates. At each point, k coordinates S are drawn without
replacement, so that R̂ = R₀ + d/k Σ_{i∈S} tᵢ is unbiased for R. Its square exceeds R² by Var R̂ = (1 − k/d) s²/k, where s² is the
variance of d·tᵢ over the coordinates. The sample variance ŝ² is unbiased for s² (Cochran 1977, theorems 2.2 and 2.4), hence
R̂² − (1 − k/d) ŝ²/k for R². This uses all pairs of drawn coordinates; the product of two independent halves has the same mean and
about twice the variance (Hoeffding 1948). With k = d nothing is random. Sampled derivatives: Hu et al. 2024 (Neural Networks 176,
106369), Shi et al. 2024 (arXiv 2412.00088).

`equations_split` prepares the equations, `Directions.draw` draws coordinates, `Directions.gradient` estimates J and ∇J, and
`Directions.variances` predict the variance of ∇J for any k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.errors import InputError
from vpinn.forms import Graph, Jet, Node, Parameter, Tape, Value, derivatives
from vpinn.placement import HOST
from vpinn.problem import Problem
from vpinn.trial import Jets, Network
from vpinn.trial.bends import bends

PROBES, STEP = 32, 1e-4
"""Random directions of θ along which variances are measured, and the step of the differences relative to the size of θ."""


@dataclass(frozen=True)
class Directions:
    """The second derivatives of the equations over one measure, and how many of them each point takes.

    Attributes:
        network: network of the trial space.
        tape: compiled expressions. Outputs: the density without squares that have second derivatives, then R₀ of each of these
            equations, then all different coefficients cᵢ.
        terms: for each equation and component of the network the positions of the coefficients among the tape's outputs [d], −1
            where there is none; d is the number of coordinates with second derivatives.
        coordinates: numbers of these coordinates [d].
        count: coordinates k drawn at each point, 2 to d.
    """

    network: Network
    tape: Tape
    terms: tuple[Mapping[int, NDArray[np.int64]], ...]
    coordinates: NDArray[np.int64]
    count: int

    @property
    def most(self) -> int:
        """Number d of coordinates with second derivatives."""
        return len(self.coordinates)

    def taking(self, count: int) -> Directions:
        """Return the same with another number of drawn coordinates, 2 to d.

        Raises:
            InputError: there are fewer coordinates.
        """
        if count > self.most:
            raise InputError(
                f"batch.directions is {count}, but the form has second derivatives along {self.most} coordinates; give 2 to "
                f'{self.most}, or "auto"'
            )
        return replace(self, count=count)

    def draw(self, points: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Return ``count`` different positions in ``coordinates``, uniformly drawn for each of n points [n, count]."""
        if self.count == self.most:
            return np.tile(np.arange(self.most), (points, 1))
        return np.argpartition(generator.random((points, self.most)), self.count, axis=1)[:, : self.count]

    def gradient(
        self, theta: Tensor, x: Tensor, w: Tensor, fixed: Sequence[Tensor], chosen: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return estimates of ∫ density and of its gradient [size].

        Args:
            theta: parameters [size].
            x: normalised coordinates of n points [n, d].
            w: their weights [n].
            fixed: values that the tape takes from the points alone, [n] each.
            chosen: drawn positions in ``coordinates`` [n, k]; None for all.
        """
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            value = torch.dot(w, self.density(leaf, x, fixed, chosen))
            (gradient,) = torch.autograd.grad(value, leaf)
        return value.detach(), gradient

    def density(self, theta: Tensor, x: Tensor, fixed: Sequence[Tensor], chosen: Tensor | None = None) -> Tensor:
        """Return estimates of the density [n]; the density itself for all second derivatives (``chosen`` is None)."""
        if chosen is None:
            chosen = torch.arange(self.most, device=x.device).expand(len(x), -1)
        rest, equations = self.estimates(theta, x, fixed, chosen)
        squares = torch.stack([square(free, terms, self.most) for free, terms in equations])
        return rest + 0.5 * squares.sum(0)

    def estimates(
        self, theta: Tensor, x: Tensor, fixed: Sequence[Tensor], chosen: Tensor
    ) -> tuple[Value, list[tuple[Value, Tensor]]]:
        """Return the rest of the density, and for each equation R₀ and its terms times d, d·tᵢ, at drawn coordinates [n, k]."""
        slots = [slot for slot in self.tape.moving_slots if isinstance(slot, Jet | Parameter)]
        jets: Jets = self.network.jets(theta, x, {slot.derivative for slot in slots if isinstance(slot, Jet)}) if slots else {}
        rest, *values = self.tape.moving([*fixed, *(jets[slot.key] for slot in slots)])
        numbers = torch.from_numpy(self.coordinates).to(x.device)
        second = bends(self.network, theta, x, numbers[chosen])
        count = len(self.terms)
        equations = []
        for free, positions in zip(values[:count], self.terms, strict=True):
            parts = [_picked(values[count:], where, chosen, x) * second[c] for c, where in positions.items()]
            equations.append((free, self.most * torch.stack(parts).sum(0)))
        return rest, equations

    def variances(
        self, theta: Tensor, x: Tensor, w: Tensor, fixed: Sequence[Tensor], generator: torch.Generator, probes: int = PROBES
    ) -> tuple[float, float]:
        """Return two parts of the variance tr Cov of the gradient due to the drawn coordinates, for ``variance_of``.

        The derivative of the estimate along z is the mean over pairs of drawn coordinates of h(i, j) = ½ (aᵢbⱼ + aⱼbᵢ) +
        (aᵢ − aⱼ)(bᵢ − bⱼ)/(2d), where a = R₀ + d·tᵢ, and b is its derivative along z. Its variance for draws without replacement
        follows from the orthogonal decomposition of h into parts of one and of two coordinates (Bloznelis & Götze 2001, Ann.
        Statist. 29, 899). The mean over normal z is the trace (Hutchinson 1990).

        Args:
            theta: parameters [size].
            x: normalised coordinates of n points [n, d].
            w: their weights [n].
            fixed: values that the tape takes from the points alone, [n] each.
            generator: random numbers for z.
            probes: number of z, ≥ 1.
        """
        every = torch.arange(self.most, device=x.device).expand(len(x), -1)
        step = STEP * float(theta.norm()) / len(theta) ** 0.5
        one = two = 0.0
        with torch.no_grad():
            here = self._residuals(theta, x, fixed, every)
            for _ in range(probes):
                z = torch.randn(theta.shape, generator=generator, dtype=torch.float64, device=HOST).to(theta)
                ahead, behind = (self._residuals(theta + sign * step * z, x, fixed, every) for sign in (1.0, -1.0))
                slopes = [(after - before) / (2.0 * step) for after, before in zip(ahead, behind, strict=True)]
                parts = pair_variances(here, slopes)
                one, two = (total + float((w**2 * part).sum()) / probes for total, part in zip((one, two), parts, strict=True))
        return one, two

    def variance_of(self, parts: tuple[float, float], count: int) -> float:
        """Return the variance of the gradient due to ``count`` drawn coordinates, 2 to d, from the result of ``variances``."""
        d = self.most
        one = 4.0 / count * (d - count) / (d - 1.0)
        left = (d - count) * (d - count - 1.0) / ((d - 2.0) * (d - 3.0)) if d > 3 else 0.0
        return one * parts[0] + 2.0 * left / (count * (count - 1.0)) * parts[1]

    def _residuals(self, theta: Tensor, x: Tensor, fixed: Sequence[Tensor], every: Tensor) -> list[Tensor]:
        """Return R₀ + d·tᵢ of each equation at all coordinates [n, d]."""
        return [terms + _column(free) for free, terms in self.estimates(theta, x, fixed, every)[1]]


class Split(NamedTuple):
    """Outputs of the tape of `Directions`, its terms and its coordinates; see its attributes."""

    outputs: list[Node]
    terms: tuple[Mapping[int, NDArray[np.int64]], ...]
    coordinates: NDArray[np.int64]


def square(free: Value, terms: Tensor, most: int) -> Tensor:
    """Return unbiased estimates of R² [n] from R₀ and terms d·tᵢ at k drawn coordinates [n, k] of ``most``."""
    k = terms.shape[1]
    mean = free + terms.mean(1)
    return mean**2 - (1.0 - k / most) / k * terms.var(1)


def pair_variances(values: Sequence[Tensor], slopes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the variances [n] of the parts of one and of two coordinates of Σ h(i, j) over the equations.

    Args:
        values: aᵢ of each equation at all d coordinates [n, d].
        slopes: bᵢ of each equation [n, d].
    """
    d = values[0].shape[1]
    share, pairs = 1.0 - 1.0 / d, list(zip(values, slopes, strict=True))
    own = torch.stack([a * b for a, b in pairs]).sum(0) / (2.0 * d)
    cross = torch.stack([0.5 * (a * b.sum(1, keepdim=True) + b * a.sum(1, keepdim=True)) - a * b for a, b in pairs]).sum(0)
    # Σ h over j ≠ i, and Σ h² over i ≠ j, where h = share·½(aᵢbⱼ + aⱼbᵢ) + ownᵢ + ownⱼ
    single = (share * cross + (d - 2.0) * own + own.sum(1, keepdim=True)) / (d - 1.0)
    squares = torch.zeros_like(own[:, 0])
    for a, b in pairs:
        for other, slope in pairs:
            both = (a * other).sum(1) * (b * slope).sum(1) + (a * slope).sum(1) * (b * other).sum(1)
            squares = squares + 0.5 * both - (a * b * other * slope).sum(1)
    squares = share**2 * squares + 4.0 * share * (own * cross).sum(1) + 2.0 * (d - 2.0) * (own**2).sum(1) + 2.0 * own.sum(1) ** 2
    mean = single.mean(1)
    total = squares / (d * (d - 1.0)) - mean**2
    if d == 2:
        return torch.zeros_like(total), total
    one = ((d - 1.0) / (d - 2.0)) ** 2 * ((single - mean[:, None]) ** 2).mean(1)
    return one, total - 2.0 * (d - 2.0) / (d - 1.0) * one


def equations_split(graph: Graph, problem: Problem, densities: Sequence[Node], roots: Sequence[Node]) -> Split:
    """Return what `Directions` is made of.

    Args:
        graph: graph of the nodes; new ones are added to it.
        problem: the problem.
        densities: terms of the density that are no squares.
        roots: equations R, whose ½R² are the other terms of the density.

    Raises:
        InputError: the domain has a mesh, or there are no second derivatives, or they are mixed or not linear.
    """
    if problem.domain.n_cells:
        raise InputError(
            f"batch.directions is for many dimensions; on a mesh of {problem.domain.dimension} dimensions all second derivatives "
            "cost little; leave it out"
        )
    bent = [[jet for jet in _moving(graph, root) if len(jet.derivative) > 1] for root in roots]
    if not any(bent):
        raise InputError(
            "batch.directions draws second derivatives of a strong form, and this form has none; leave it out: first derivatives "
            "by all coordinates cost no more than the value"
        )
    jets = sorted({jet for group in bent for jet in group}, key=lambda jet: jet.key)
    if any(len(jet.derivative) > 2 or jet.derivative[0] != jet.derivative[-1] for jet in jets):
        raise InputError(
            "batch.directions draws second derivatives ∂²u/∂xᵢ², but the form has mixed or higher ones; leave it out"
        )
    coordinates = np.unique([jet.derivative[0] for jet in jets])
    half = graph.number(0.5)
    rest = graph.add([*densities, *(graph.multiply([half, r, r]) for r, own in zip(roots, bent, strict=True) if not own)])
    free: list[Node] = []
    coefficients: dict[Node, int] = {}
    terms: list[Mapping[int, NDArray[np.int64]]] = []
    for root, own in zip(roots, bent, strict=True):
        if own:
            slopes = derivatives(graph, root, [graph.slot(jet) for jet in own])
            if any(len(jet.derivative) > 1 for slope in slopes for jet in _moving(graph, slope)):
                raise InputError("batch.directions needs a form that is linear in its second derivatives; leave it out")
            free += graph.substitute([root], dict.fromkeys(own, 0.0))
            terms.append(_positions(own, slopes, coordinates, coefficients))
    return Split([rest, *free, *coefficients], tuple(terms), coordinates)


def _positions(
    jets: Sequence[Jet], slopes: Sequence[Node], coordinates: NDArray[np.int64], coefficients: dict[Node, int]
) -> Mapping[int, NDArray[np.int64]]:
    """Return for each component the positions of its coefficients [d], −1 where there is none; new ones are added at the end."""
    where = {c: np.full(len(coordinates), -1) for c in sorted({jet.component for jet in jets})}
    for jet, slope in zip(jets, slopes, strict=True):
        at = int(np.searchsorted(coordinates, jet.derivative[0]))
        where[jet.component][at] = coefficients.setdefault(slope, len(coefficients))
    return where


def _moving(graph: Graph, node: Node) -> list[Jet]:
    return [slot for slot in graph.slots([node]) if isinstance(slot, Jet) and slot.function in graph.varying]


def _picked(coefficients: Sequence[Value], where: NDArray[np.int64], chosen: Tensor, like: Tensor) -> Tensor | float:
    """Return the coefficients at drawn coordinates [n, k], or one number for all."""
    kinds = np.unique(where)
    if len(kinds) == 1:
        return _column(coefficients[int(kinds[0])])
    n = len(chosen)
    shown = [coefficients[int(i)] if i >= 0 else 0.0 for i in kinds]
    table = torch.stack([torch.as_tensor(c, dtype=like.dtype, device=like.device).expand(n) for c in shown])
    which = torch.from_numpy(np.searchsorted(kinds, where)).to(chosen.device)[chosen]
    return table[which, torch.arange(n, device=chosen.device)[:, None]]


def _column(value: Value) -> Tensor | float:
    return value[:, None] if isinstance(value, Tensor) else value

"""Enrich functions: trial functions given by the user, u = lift + distance·network + Σ c_j e_j(x).

Each e_j is an expression of the coordinates, which the form compiler differentiates exactly. Its coefficient c_j is a parameter
like the weights of the network. The main use are singular functions at corners, whose coefficients engineers call stress
intensities (Strang & Fix 1973, ch. 8). Start with `Enriched`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import ufl
from torch import Tensor
from ufl.core.expr import Expr

from vpinn.domain import BoundaryPart, Points
from vpinn.errors import InputError
from vpinn.forms import Background, evaluate
from vpinn.placement import HOST
from vpinn.problem import Condition, Problem
from vpinn.problem.operators import gradient
from vpinn.trial.network import Derivative, Jets, Network, Pullback

VANISHING = 1e-10
"""Largest value on a boundary part, relative to the function's largest value on the whole boundary, that counts as zero."""


@dataclass(frozen=True)
class Enriched(Network):
    """A network whose parameters end with the coefficients of the enrich functions.

    Attributes:
        extra: number of coefficients: enrich functions times components, ≥ 0.
    """

    extra: int = 0

    @property
    def size(self) -> int:
        """Number of parameters, coefficients included."""
        return super().size + self.extra

    @property
    def tied(self) -> int:
        """Number of features per component, last in the hidden layer, that share one coefficient over all components."""
        return 0

    @property
    def shared(self) -> int:
        """Number of features with a separate coefficient for every component."""
        return self.layers[-2] - self.outputs * self.tied

    @property
    def last(self) -> slice:
        """Positions of the last layer and of the enrich coefficients among the parameters."""
        return slice(self.size - self.outputs * (self.layers[-2] + 1) - self.extra, self.size)

    @property
    def linear(self) -> int:
        """Number of parameters in which the unknowns are linear: those of the last layer and the enrich coefficients."""
        return self.outputs * (self.shared + 1) + self.tied + self.extra

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return random parameters [size] in float64, with zero coefficients of the enrich functions."""
        return torch.cat([super().initial(generator), torch.zeros(self.extra, dtype=torch.float64, device=HOST)])

    def coefficients(self, theta: Tensor) -> Tensor:
        """Return the coefficients of the enrich functions [extra] as a view of the parameters [size]."""
        return theta[self.size - self.extra :]

    def jets(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> Jets:
        """Return the network's jets and, as constant values [n] under the components −1, −2, …, the enrich coefficients."""
        return super().jets(theta[: self.weights], x, wanted) | self.numbers(theta, x)

    def record(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> tuple[Jets, Pullback]:
        """Return the jets and their pullback to all parameters, coefficients included."""
        wanted = list(wanted)
        if max(map(len, wanted), default=0) > 1:  # then autograd records the coefficients, too
            return super().record(theta, x, wanted)
        found, pullback = super().record(theta[: self.weights], x, wanted)
        if not self.extra:
            return found, pullback

        def pull(cotangents: Mapping[tuple[int, Derivative], Tensor]) -> Tensor:
            weights = pullback({key: bar for key, bar in cotangents.items() if key[0] >= 0})
            bars = [
                cotangents[-1 - k, ()].sum() if (-1 - k, ()) in cotangents else theta.new_zeros(()) for k in range(self.extra)
            ]
            return torch.cat([weights, torch.stack(bars)])

        return found | self.numbers(theta, x), pull

    def jets_of(self, thetas: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> Jets:
        """Return the network's jets for k parameter vectors [k, size], and the enrich coefficients as values [k, n]."""
        numbers = {(-1 - k, ()): thetas[:, self.weights + k, None].expand(-1, len(x)) for k in range(self.extra)}
        return super().jets_of(thetas[:, : self.weights], x, wanted) | numbers

    @property
    def weights(self) -> int:
        """Number of the network's own parameters, which come first."""
        return super().size

    def numbers(self, theta: Tensor, x: Tensor) -> Jets:
        """Return the enrich coefficients as constant values [n] under the components −1, −2, …."""
        values = self.coefficients(theta)
        return {(-1 - k, ()): values[k].expand(len(x)) for k in range(self.extra)}


def vanishes(problem: Problem, condition: Condition) -> bool:
    """Return whether all enrich functions are zero on the boundary part of a condition.

    Raises:
        InputError: an enrich function has no finite value on the boundary.
    """
    if not problem.enrich:
        return True
    domain = problem.domain
    everywhere = np.abs(_on(problem, BoundaryPart.of(domain).on_each())).max(1)
    here = np.abs(_on(problem, BoundaryPart.of(domain, condition.on).on_each())).max(1)
    return bool((here <= VANISHING * everywhere).all())


def _on(problem: Problem, points: Points) -> np.ndarray:
    """Return the values of the k enrich functions at n points [k, n]."""
    values = evaluate(problem.enrich, points, Background(problem.domain))
    for number, row in enumerate(values):
        _refuse(problem, number, "value", points, row)
    return values


def check_enrichment(problem: Problem, points: Points) -> None:
    """Refuse enrich functions that are singular at quadrature points.

    Args:
        problem: the problem.
        points: quadrature points.

    Raises:
        InputError: a value, gradient or Laplacian is not finite; the message names function and point.
    """
    d = problem.domain.dimension
    for number, function in enumerate(problem.enrich):
        derivatives: dict[str, Expr] = {
            "value": function,
            "gradient": gradient(function, d),
            "Laplacian": ufl.tr(gradient(gradient(function, d), d)),
        }
        for what, expression in derivatives.items():
            _refuse(problem, number, what, points, evaluate([expression], points, Background(problem.domain)).sum(0))


def _refuse(problem: Problem, number: int, what: str, points: Points, values: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        place = ", ".join(f"{coordinate:.6g}" for coordinate in points.x[bad[0]])
        text = problem.source.data["network"]["enrich"][number]
        raise InputError(
            f"the enrich function {text!r} has no finite {what} at the point ({place}); "
            "keep its singular points and lines outside the domain or on vertices of the mesh",
            problem.where("network", "enrich", number),
        )

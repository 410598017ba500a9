"""Sums of functions of few coordinates: products of orthonormal polynomials of one, two or three coordinates each.

Beside these there are polynomials of all coordinates together, of the squared distance from the centre of the domain. In many
dimensions such sums replace the network of a trial space; their coefficients are all parameters. Start with
`FewCoordinates.jets`, and `images` for the columns of a linear operator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.placement import HOST
from vpinn.trial.enrichment import Enriched
from vpinn.trial.network import Derivative, Jets
from vpinn.trial.polynomials import tabulated

DISTANCE = -1
"""Number of the squared distance among the coordinates."""
RADIAL = 2
"""Highest order of derivatives of functions of the distance."""
BYTES = 2**25
"""Largest table of values at once, in bytes; more points are taken in parts."""
Term: TypeAlias = tuple[tuple[int, int], ...]
"""One function: pairs of coordinate and degree ≥ 1, by ascending coordinate; () is the function 1. The coordinate ``DISTANCE``
stands for the squared distance of all coordinates from the centre, and is the only one of its functions."""
Parts: TypeAlias = list[tuple[Tensor, list[Tensor]]]
"""Positions of functions [m], and for each factor its row in a table of polynomials [m]."""
Coefficients: TypeAlias = Mapping[Derivative, Tensor]
"""Derivative of a function → its coefficient in a linear operator [n]."""


@dataclass(frozen=True)
class FewCoordinates(Enriched):
    """Sums Σ_k c_k φ_k with products φ_k of polynomials of few coordinates; the hidden layer stands for the functions.

    The parameters are the coefficients, component by component [outputs · k], then those of the enrich functions.

    Attributes:
        family: family of the polynomials, a value of ``polynomials.FAMILIES``.
        terms: the functions [k].
    """

    family: str = "legendre"
    terms: tuple[Term, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, base: Enriched, family: str, terms: Sequence[Term]) -> FewCoordinates:
        """Return the sums on the box, and with the components, of another network."""
        layers = (base.dimension, max(1, len(terms)), base.outputs)
        return cls(layers, base.activation, base.lower, base.upper, base.extra, family, tuple(terms))

    def having(self, terms: Sequence[Term]) -> FewCoordinates:
        """Return the same sums of other functions."""
        return replace(self, layers=(self.dimension, max(1, len(terms)), self.outputs), terms=tuple(terms))

    @property
    def weights(self) -> int:
        """Number of coefficients of the functions."""
        return self.outputs * len(self.terms)

    @property
    def size(self) -> int:
        """Number of parameters, coefficients of enrich functions included."""
        return self.weights + self.extra

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return zeros [size]."""
        return torch.zeros(self.size, dtype=torch.float64, device=HOST)

    @cached_property
    def degree(self) -> int:
        """Highest degree of a polynomial of one coordinate."""
        return max((degree for term in self.terms for i, degree in term if i != DISTANCE), default=0)

    @cached_property
    def _radial(self) -> tuple[Tensor, Tensor, int]:
        """Functions of the distance: their positions and degrees [m], and the highest degree."""
        at = [(k, term[0][1]) for k, term in enumerate(self.terms) if is_distance(term)]
        pairs = torch.tensor(at, dtype=torch.int64, device=HOST).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1], max((degree for _, degree in at), default=0)

    def distances(self, x: Tensor, keys: Iterable[Derivative]) -> tuple[Tensor, dict[Derivative, list[tuple[int, Tensor]]]]:
        """Return the functions of the distance ρ, scaled to [−1, 1] over the ball or box, and how derivatives come from theirs.

        Args:
            x: normalised coordinates [n, d].
            keys: derivatives of order 0 to 2.

        Returns:
            polynomials and their derivatives by ρ [3, m, n]; key → pairs of an order of those and its factor [n]: by the chain
            rule ∂_i p = p′ ρ_i and ∂_ij p = p″ ρ_i ρ_j + p′ ρ_ij.
        """
        _, degrees, most = self._radial
        scale = 2.0 if self.family == "gegenbauer" else 2.0 / self.dimension
        rho, stretch = scale * (x * x).sum(dim=1) - 1.0, self.stretch(x)
        values = tabulated("legendre", 1, most, 2, rho)[:, degrees]
        slopes = (2.0 * scale * stretch) * x
        rules: dict[Derivative, list[tuple[int, Tensor]]] = {}
        for key in keys:
            if len(key) > RADIAL:
                raise ValueError(f"functions of the distance have no derivatives of order {len(key)}")
            rules[key] = [(len(key), slopes[:, list(key)].prod(dim=1))]
            if len(key) == RADIAL and key[0] == key[1]:
                rules[key].append((1, (2.0 * scale * stretch[key[0]] ** 2).expand(len(x))))
        return values, rules

    @cached_property
    def _groups(self) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], ...]:
        """Functions by their number s of coordinates: positions [m], coordinates [m, s], degrees [m, s]."""
        found = []
        for s in range(max(map(len, self.terms), default=0) + 1):
            at = [k for k, term in enumerate(self.terms) if len(term) == s and not is_distance(term)]
            if at:
                pairs = np.array([self.terms[k] for k in at], dtype=np.int64).reshape(len(at), s, 2)
                found.append((np.array(at), pairs[..., 0], pairs[..., 1]))
        return tuple(found)

    @cached_property
    def _parts(self) -> dict[Derivative, Parts]:
        """Results of ``parts``."""
        return {}

    def parts(self, key: Derivative) -> Parts:
        """Return the functions with a derivative that is not zero.

        Args:
            key: coordinates to differentiate by.

        Returns:
            positions of functions [m] and, for each of their factors, its row in a table of polynomials [m], see ``table``.
        """
        if key not in self._parts:
            self._parts[key] = self._differentiated(Counter(key))
        return self._parts[key]

    def _differentiated(self, orders: Mapping[int, int]) -> Parts:
        """Return the functions that have all coordinates of a derivative, of such orders; see ``parts``."""
        degrees, found = self.degree + 1, []
        for at, coordinates, powers in self._groups:
            if not len(orders) <= coordinates.shape[1]:
                continue
            whole = np.ones(len(at), bool)
            for i in orders:
                whole &= (coordinates == i).any(axis=1)
            if not whole.any():
                continue
            order = np.zeros_like(coordinates[whole])
            for i, r in orders.items():
                order[coordinates[whole] == i] = r
            rows = (order * self.dimension + coordinates[whole]) * degrees + powers[whole]
            found.append((torch.from_numpy(at[whole]), [torch.from_numpy(np.ascontiguousarray(row)) for row in rows.T]))
        return found

    def table(self, x: Tensor, order: int) -> Tensor:
        """Return the polynomials of every coordinate and their derivatives by the original coordinates, row by row.

        Args:
            x: normalised coordinates [n, d].
            order: highest derivative.

        Returns:
            values [(order + 1)·d·(degree + 1), n]; derivative r of degree k by coordinate i is row (r·d + i)(degree + 1) + k.
        """
        values = tabulated(self.family, self.dimension, self.degree, order, x.T.contiguous())
        scale = self.stretch(x)[:, None, None]
        for r in range(1, order + 1):
            values[r] *= scale**r
        return values.reshape(-1, len(x))

    def together(self, order: int) -> int:
        """Return how many points are evaluated at once."""
        rows = max((order + 1) * self.dimension * (self.degree + 1), len(self.terms), 1)
        return max(64, BYTES // (8 * rows))

    def jets(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> Jets:
        """Return all components, their derivatives, and the coefficients of the enrich functions; see ``Enriched.jets``."""
        wanted = sorted(set(wanted), key=lambda key: (len(key), key))
        order = max(map(len, wanted), default=0)
        c = theta[: self.weights].view(self.outputs, len(self.terms))
        result: Jets = {(k, key): x.new_zeros(len(x)) for key in wanted for k in range(self.outputs)}
        parts = {key: self.parts(key) for key in wanted}
        if c.any():
            step = self.together(order)
            for start in range(0, len(x), step):
                table = self.table(x[start : start + step], order)
                for key in wanted:
                    for at, rows in parts[key]:
                        values = c[:, at] @ product_of_rows(table, rows)
                        for k in range(self.outputs):
                            result[k, key][start : start + step] += values[k]
            self._add_distances(c, x, result)
        return result | self.numbers(theta, x)

    def _add_distances(self, c: Tensor, x: Tensor, jets: Jets) -> None:
        """Add the functions of the distance with coefficients [outputs, k] to jets."""
        at = self._radial[0]
        if not len(at):
            return
        values, rules = self.distances(x, {key for _, key in jets})
        orders = torch.einsum("om,rmn->ron", c[:, at], values)
        for (component, key), row in jets.items():
            for order, factor in rules[key]:
                row += orders[order, component] * factor

    def images(self, x: Tensor, operator: Mapping[int, Coefficients]) -> Tensor:
        """Return the functions under a linear operator, component by component [outputs · k, n].

        Args:
            x: normalised coordinates [n, d]; at most ``together`` at once keep the table small.
            operator: component → coefficients [n] of its derivatives.
        """
        order = max((len(key) for one in operator.values() for key in one), default=0)
        table, k = self.table(x, order), len(self.terms)
        result = x.new_zeros(self.outputs * k, len(x))
        for component, coefficients in operator.items():
            for key, coefficient in coefficients.items():
                for at, rows in self.parts(key):
                    result[component * k + at] += product_of_rows(table, rows) * coefficient
        if len(radial := self._radial[0]):
            values, rules = self.distances(x, {key for one in operator.values() for key in one})
            for component, coefficients in operator.items():
                factors = x.new_zeros(RADIAL + 1, len(x))
                for key, coefficient in coefficients.items():
                    for r, factor in rules[key]:
                        factors[r] += coefficient * factor
                result[component * k + radial] += torch.einsum("rmn,rn->mn", values, factors)
        return result


def is_distance(term: Term) -> bool:
    """Return whether a function is one of the squared distance."""
    return bool(term) and term[0][0] == DISTANCE


def product_of_rows(table: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """Return products of rows of a table [m, n], one row of each list in each; ones without lists."""
    if not rows:
        return table.new_ones(1, table.shape[1])
    result = table[rows[0]]
    for more in rows[1:]:
        result *= table[more]
    return result

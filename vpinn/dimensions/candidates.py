"""Which functions to add: those along which the residual on fresh points is larger than chance would make it.

Let r be the residual and a the change of the equations by a function. If r has no part along a, the score (Σ r a)²/Σ (r a)² over
independent points follows the χ² distribution with one degree of freedom, however the sizes of r and a vary together (White 1980,
Econometrica 48, 817–838). A move adds the functions of one subset of coordinates with the next total degrees, and has the sum of
their scores as evidence. Of all moves those are taken that the procedure of Benjamini & Hochberg (1995) takes at a false
discovery rate of ``NEEDLESS``: the fewer moves help, the more evidence is asked of each.

Where the residual is spread over very many subsets, none of them stands out, but all of them together do: the scores of m
functions add up to m ± √(2m) by chance. Moves of subsets of one size and level are therefore judged together, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import gammaincc

from vpinn.dimensions.equations import Array, PointRows
from vpinn.dimensions.subsets import ALL, LEAST_DISTANCE, Levels, Subset, beyond_pairs, of_degree
from vpinn.placement import host
from vpinn.trial import FewCoordinates
from vpinn.trial.few_coordinates import RADIAL

NEEDLESS = 0.05
"""Expected share of needless moves among those that are taken."""
LOW, LOWEST = 2, 300
"""Highest degree of either factor of the functions by which a pair of coordinates is judged; 1 in more dimensions than that."""
TRIPLES = 300
"""Triples of coordinates that are all looked at; of more, those whose pairs are all in use."""
AHEAD = 2
"""Degrees by which a level may rise at once: even and odd functions have every other degree only."""
DOUBTFUL = 1e-3
"""Chance above which the second of these degrees is left out."""
CERTAIN = 5.0
"""Standard deviations above chance from which moves are taken together."""
BEHIND = 0.5
"""Evidence for a function of a group, relative to that of the best group, from which the group is taken at the same time."""
BYTES = 6.4e7
"""Memory for the columns of candidates."""


@dataclass(frozen=True)
class Move:
    """A subset whose level may rise.

    Attributes:
        subset: its coordinates.
        level: total degree that it would have.
        evidence: sum of the scores of its functions.
        freedom: degrees of freedom of the χ² distribution of ``evidence`` where nothing is there.
        used: whether it has functions already.
    """

    subset: Subset
    level: int
    evidence: float
    freedom: int
    used: bool

    @property
    def chance(self) -> float:
        """Probability of as much evidence where nothing is there."""
        return _chance(self.evidence, self.freedom)


def _chance(evidence: float, freedom: int) -> float:
    return float(gammaincc(0.5 * freedom, 0.5 * evidence))


def chosen(moves: Sequence[Move]) -> list[Move]:
    """Return the moves to make, those of most evidence first: significant ones, then groups that are significant together."""
    if not moves:
        return []
    ordered = sorted(moves, key=lambda move: (move.chance, -move.evidence))
    limits = NEEDLESS * np.arange(1, len(ordered) + 1) / len(ordered)
    below = np.flatnonzero(np.array([move.chance for move in ordered]) <= limits)
    alone = ordered[: 0 if not len(below) else int(below[-1]) + 1]
    groups: dict[tuple[int, int], list[Move]] = {}
    for move in moves:
        if move.used:
            groups.setdefault((len(move.subset), move.level), []).append(move)
    means = {key: _excess(group) for key, group in groups.items()}
    most = max(means.values(), default=0.0)
    together = [m for key in sorted(means, key=lambda key: -means[key]) if means[key] > BEHIND * most > 0.0 for m in groups[key]]
    return list({move.subset: move for move in [*together[::-1], *alone[::-1]]}.values())[::-1]


def _excess(group: Sequence[Move]) -> float:
    """Return the evidence for each function of a group above chance; zero unless it is certain."""
    freedom = sum(move.freedom for move in group)
    excess = sum(move.evidence for move in group) - freedom
    return excess / freedom if excess > CERTAIN * np.sqrt(2.0 * freedom) else 0.0


def possible(found: Sequence[PointRows], network: FewCoordinates, levels: Levels, order: int) -> list[Move]:
    """Return all moves, with their evidence in the residuals on fresh points.

    Args:
        found: residuals of all equations.
        network: sum of the functions in use.
        levels: its subsets.
        order: highest order of derivatives in the equations.
    """
    degrees = {subset: range(level + 1, level + AHEAD + 1) for subset, level in levels.items()}
    degrees |= {subset: range(3, 4) for subset in beyond_pairs(levels, TRIPLES, network.dimension)}
    if ALL not in levels and order <= RADIAL:
        degrees[ALL] = range(LEAST_DISTANCE, LEAST_DISTANCE + AHEAD)
    terms = [(subset, degree, term) for subset, some in degrees.items() for degree in some for term in of_degree(subset, degree)]
    scores = column_scores(found, network.having([term for _, _, term in terms]))
    parts: dict[tuple[Subset, int], list[float]] = {}
    for (subset, degree, _), score in zip(terms, scores, strict=True):
        parts.setdefault((subset, degree), []).append(float(score))
    return [_move(network.outputs, subset, some, parts, subset in levels) for subset, some in degrees.items()] + [
        move for move in pair_moves(found, network) if move.subset not in levels
    ]


def _move(outputs: int, subset: Subset, degrees: range, parts: dict[tuple[Subset, int], list[float]], used: bool) -> Move:
    """Return the move of a subset to the next degree, or to the one after it where that is significant, too."""
    sums = [(sum(parts[subset, degree]), outputs * len(parts[subset, degree])) for degree in degrees]
    (first, freedom), level = sums[0], degrees[0]
    for evidence, more in sums[1:]:
        if _chance(evidence, more) < DOUBTFUL:
            first += evidence
            freedom += more
            level += 1
    return Move(subset, level, first, freedom, used)


def column_scores(found: Sequence[PointRows], network: FewCoordinates) -> Array:
    """Return the scores of the functions of a sum, from their columns [terms]."""
    k, outputs = len(network.terms), network.outputs
    scores = np.zeros(k)
    step = max(1, int(BYTES / (8 * len(found[0].points) * outputs)))
    for start in range(0, k, step):
        some = network.having(network.terms[start : start + step])
        along, spread = np.zeros((2, some.weights))
        for one in found:
            residual, columns = one.columns(some)
            columns *= residual[:, None] / len(one.points)
            products = columns.reshape(len(one.points), -1, some.weights).sum(axis=1)
            along += products.sum(axis=0)
            spread += (products**2).sum(axis=0)
        each = along**2 / np.where(spread > 0.0, spread, 1.0)
        scores[start : start + step] = each.reshape(outputs, -1).sum(axis=0)
    return scores


def pair_moves(found: Sequence[PointRows], network: FewCoordinates) -> list[Move]:
    """Return the moves that add a pair of coordinates: the product of both, or products of low degrees if these tell more."""
    d = network.dimension
    low = LOW if d <= LOWEST else 1
    if d < 2:
        return []
    scores = product_scores(found, network, low).reshape(d, low, d, low)
    plain, every = scores[:, 0, :, 0], scores.sum(axis=(1, 3))
    moves = []
    for i, j in combinations(range(d), 2):
        one = Move((i, j), 2, float(plain[i, j]), network.outputs, False)
        more = Move((i, j), 2 * low, float(every[i, j]), network.outputs * low**2, False)
        moves.append(more if more.chance < DOUBTFUL * one.chance else one)
    return moves


def product_scores(found: Sequence[PointRows], network: FewCoordinates, low: int) -> Array:
    """Return the scores of products p(x_i) q(x_j) of degrees 1 to ``low`` [d·low, d·low], by products of matrices.

    An operator Σ A_k ∂_k + A_kk ∂_kk + A takes a product to X q + p Y, with X = (A/2 + A_i ∂_i + A_ii ∂_ii) p and Y alike, so
    that its inner product with r, and its square, are sums of products of functions of one coordinate each. Derivatives of
    higher order and mixed ones are left out.
    """
    d = network.dimension
    singles = network.having([((0, low),)])
    rows: list[tuple[int, int]] = [(i, a) for i in range(d) for a in range(1, low + 1)]
    places = np.array([i * (low + 1) + a for i, a in rows])
    along, spread = np.zeros((2, network.outputs, len(rows), len(rows)))
    for one in found:
        step = max(64, int(BYTES / (8 * 4 * d * (low + 1))))
        for start in range(0, len(one.points), step):
            part = slice(start, start + step)
            table = host(singles.table(one.x[part], 2)).reshape(3, -1, len(one.points.w[part]))[:, places]
            for which, residual in enumerate(one.values[:, part]):
                for component, operator in one.operator(which).items():
                    image = 0.5 * host(operator[()][part]) * table[0] if () in operator else np.zeros_like(table[0])
                    for k, (i, _) in enumerate(rows):
                        for order in (1, 2):
                            if (i,) * order in operator:
                                image[k] += host(operator[(i,) * order][part]) * table[order, k]
                    image *= residual * (one.weight / len(one.points))
                    half, square = image @ table[0].T, image**2 @ (table[0] ** 2).T
                    cross = image * table[0]
                    along[component] += half + half.T
                    spread[component] += square + square.T + 2.0 * cross @ cross.T
    scores: Array = (along**2 / np.where(spread > 0.0, spread, 1.0)).sum(axis=0)
    return scores

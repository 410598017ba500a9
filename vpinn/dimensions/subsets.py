"""Subsets of coordinates with the total degree of their functions: the levels of a sum of functions of few coordinates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TypeAlias

from vpinn.trial.few_coordinates import DISTANCE, Term

Subset: TypeAlias = tuple[int, ...]
"""Coordinates, ascending; ``ALL`` is the squared distance of all coordinates."""
ALL: Subset = (DISTANCE,)
"""The squared distance, as a subset."""
Levels: TypeAlias = Mapping[Subset, int]
"""Subset → highest total degree of its functions, each of which has every coordinate of the subset as a factor."""


LEAST_DISTANCE = 2
"""Lowest degree of functions of the squared distance."""


def terms_of(levels: Levels) -> list[Term]:
    """Return the constant, then all functions of the subsets, those of a low total degree first."""
    found = [(degree, subset) for subset, level in levels.items() for degree in range(len(subset), level + 1)]
    return [(), *(term for degree, subset in sorted(found, key=lambda one: one[0]) for term in of_degree(subset, degree))]


def of_degree(subset: Subset, degree: int) -> Iterator[Term]:
    """Yield the functions of a subset with a total degree; the distance itself is a sum of squares of single coordinates."""
    if subset == ALL and degree < LEAST_DISTANCE:
        return
    for degrees in _compositions(degree, len(subset)):
        yield tuple(zip(subset, degrees, strict=True))


def subset_of(term: Term) -> Subset:
    """Return the coordinates of a function."""
    return tuple(i for i, _ in term)


def count_of_terms(levels: Levels) -> int:
    """Return the number of functions."""
    counts = (len(list(of_degree(s, degree))) for s, level in levels.items() for degree in range(len(s), level + 1))
    return 1 + sum(counts)


def beyond_pairs(levels: Levels, most: int, dimension: int) -> list[Subset]:
    """Return triples of coordinates that are not in use: all of them if there are few, else those whose pairs are all in use."""
    pairs = {s for s in levels if len(s) == 2}
    after: dict[int, list[int]] = {}
    if dimension * (dimension - 1) * (dimension - 2) // 6 <= most:
        pairs = {(i, j) for i in range(dimension) for j in range(i + 1, dimension)}
    for i, j in sorted(pairs):
        after.setdefault(i, []).append(j)
    closed = ((i, j, k) for i, j in sorted(pairs) for k in after.get(j, ()) if (i, k) in pairs)
    return [triple for triple in closed if triple not in levels]


@cache
def _compositions(total: int, parts: int) -> Sequence[tuple[int, ...]]:
    """Return all ways to write a number as an ordered sum of positive numbers."""
    if parts == 1:
        return ((total,),) if total >= 1 else ()
    return tuple((first, *rest) for first in range(1, total) for rest in _compositions(total - first, parts - 1))

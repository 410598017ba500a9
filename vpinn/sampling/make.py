"""Turn the names of samplers in a problem file into samplers; start with `make_sampler`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from vpinn.domain import PointSet
from vpinn.errors import InputError
from vpinn.registry import Extended
from vpinn.sampling.cells import Cells
from vpinn.sampling.curve import Array, Index, SpaceCurve
from vpinn.sampling.quantiles import Quantiles
from vpinn.sampling.quasi import Antithetic, Run, Sobol
from vpinn.sampling.sampler import Sampler, Uniform
from vpinn.sampling.stratified import Importance, Stratified, blocks, blocks_within

QUANTILES = 8
"""Number of strata by residual or gradient, where the problem file gives none."""
TOLD = 2
"""Fewest points of every tag, so that every batch gives the variance in it."""
PER_BLOCK = 4
"""Points per block of an adaptive batch, where the problem file gives no number of blocks."""


@dataclass(frozen=True)
class Choice:
    """How batches are drawn.

    Attributes:
        sampler: one of ``SAMPLERS``.
        allocation: one of ``ALLOCATIONS``.
        strata: "blocks" of neighbouring cells, "cells", "tags", or quantiles of the "residual" or "gradient".
        count: number of blocks or quantiles, ≥ 1; None: chosen from the size of the batch.
        replacement: whether a uniform batch may contain a point twice.
        per_cell: points of each drawn cell, ≥ 1 (on facets as many, or all they have); "auto": best number; None: all.
    """

    sampler: str = "stratified"
    allocation: str = "proportional"
    strata: str = "blocks"
    count: int | None = None
    replacement: bool = True
    per_cell: int | Literal["auto"] | None = None


def _stratified(points: PointSet, size: int, choice: Choice) -> Sampler:
    if choice.strata in ("residual", "gradient"):
        return Quantiles.over(points, size, choice.count or QUANTILES, choice.allocation, choice.strata)
    if choice.strata == "tags":
        names, group = tag_groups(points)
        curve = SpaceCurve.through(points, group)
        members = np.bincount(group) * points.per_entity
        fewest = np.minimum(TOLD, members)
        return Stratified(points.size, size, curve, _borders(curve, group), choice.allocation, names, members, fewest)
    if choice.strata == "cells":
        curve = SpaceCurve.through(points)
        names, members = tuple(f"cell {k}" for k in curve.order), np.full(points.entities, points.per_entity)
        return Stratified(points.size, size, curve, curve.edges, choice.allocation, names, members)
    least = _per_stratum(choice)
    sides = _sides_apart(points, size // least)
    curve = SpaceCurve.through(points, sides)
    per_block = 1 if choice.allocation == "proportional" else PER_BLOCK
    count = choice.count or max(1, size // per_block)
    edges = blocks(count) if sides is None else blocks_within(_borders(curve, sides), count)
    return Stratified(points.size, size, curve, edges, choice.allocation)


def _sobol(points: PointSet, size: int, choice: Choice) -> Sampler:
    return Run(points.size, size) if points.mesh is None else Sobol(points.size, size, SpaceCurve.through(points))


def _antithetic(points: PointSet, size: int, choice: Choice) -> Sampler:
    if points.mesh is None:
        raise InputError('sampler "antithetic" needs the cells of a mesh; use "sobol" or "uniform" on a hypercube')
    if size == 1:  # one point, of a boundary for example, has no mirror image
        return Stratified(points.size, 1, SpaceCurve.through(points), blocks(1))
    return Antithetic(points.size, size - size % 2, SpaceCurve.through(points))


def _cells(points: PointSet, size: int, choice: Choice) -> Sampler:
    if points.mesh is None:
        raise InputError('sampler "cells" needs the cells of a mesh; use "sobol" or "uniform" on a hypercube')
    curve = SpaceCurve.through(points)
    q = len(curve.local)
    if choice.per_cell == "auto":
        return Cells(points.size, size, curve, None, points.random)
    a = q if choice.per_cell is None else choice.per_cell
    if points.on_facets:  # the rules of facets have fewer points than those of cells
        a = min(a, q)
    if a > q:
        raise InputError(f'batch.per_cell is {a}, but the rule has {q} points in each cell; give 1 to {q}, or "auto"')
    if size < a:
        raise InputError(f'batch.size is {size}, but sampler "cells" draws {a} points of each cell; give at least {a}')
    return Cells(points.size, size - size % a, curve, a, points.random)


SAMPLERS: Final[Mapping[str, Callable[[PointSet, int, Choice], Sampler]]] = Extended(
    "samplers",
    {
        "uniform": lambda points, size, choice: Uniform(points.size, size, choice.replacement),
        "stratified": _stratified,
        "antithetic": _antithetic,
        "sobol": _sobol,
        "importance": lambda points, size, choice: Importance(
            points.size, size, SpaceCurve.through(points), blocks(choice.count or min(points.size, max(16, size)))
        ),
        "cells": _cells,
    },
)
"""Names in a problem file → function that makes the sampler from data set, size and choice."""


def make_sampler(name: str, points: PointSet, size: int, choice: Choice | None = None) -> Sampler:
    """Return the sampler called ``name`` for a data set.

    Args:
        name: one of ``SAMPLERS``.
        points: data set.
        size: points per batch, 1 ≤ size ≤ points.size; rounded down to whole pairs or cells where these are drawn.
        choice: further choices; its own ``sampler`` is ignored.

    Raises:
        InputError: there is no such sampler, or it cannot draw this size.
    """
    if name not in SAMPLERS:
        raise InputError(f"there is no sampler {name!r}; choose one of {', '.join(SAMPLERS)}")
    Uniform(points.size, size)  # checks the size first
    return SAMPLERS[name](points, size, choice or Choice())


def least_points(points: PointSet, choice: Choice) -> int:
    """Return the fewest points of a batch with strata by tag, or with blocks of a boundary with tags; 0 for other samplers."""
    if choice.sampler != "stratified":
        return 0
    if choice.strata == "tags":
        return TOLD * len(tag_groups(points)[0])
    sides = facet_sides(points) if choice.strata == "blocks" else None
    return 0 if sides is None else _per_stratum(choice) * (int(sides.max()) + 1)


def facet_sides(points: PointSet) -> Index | None:
    """Return numbers [facets] from 0 on, equal for facets with equal tags; None for cells, and where all facets have equal tags.

    Integrands on a boundary may jump where its tags change.
    """
    held = list(points.tagged.values()) if points.on_facets else []
    if not held:
        return None
    found, number = np.unique(np.stack(held, axis=1), axis=0, return_inverse=True)
    return number.reshape(-1).astype(np.int64) if len(found) > 1 else None


def _sides_apart(points: PointSet, most: int) -> Index | None:
    """Return ``facet_sides``, None where there are more of them than ``most`` strata."""
    sides = facet_sides(points)
    return None if sides is None or int(sides.max()) >= most else sides


def _per_stratum(choice: Choice) -> int:
    """Return the fewest points of a block: 2 where the variance in it is learned, else 1."""
    return 1 if choice.allocation == "proportional" else 2


def tag_groups(points: PointSet) -> tuple[tuple[str, ...], Index]:
    """Return the names of the tags, and the number of the tag of every cell or facet [entities]; of several tags the first.

    Raises:
        InputError: there are no tags, or a tag has no cell of its own.
    """
    if points.mesh is None:
        raise InputError('batch.strata = "tags" needs a mesh; use "blocks"')
    tags = points.tagged
    group = np.full(points.entities, len(tags))
    for k, held in reversed(list(enumerate(tags.values()))):
        group[held] = k
    found, number = np.unique(group, return_inverse=True)
    names = [*tags, "untagged"]
    if not points.on_facets:
        if not tags:
            raise InputError('batch.strata = "tags" needs tagged cells, and the mesh has none; use "blocks"')
        empty = [name for k, name in enumerate(tags) if k not in found]
        if empty:
            raise InputError(f"stratum {empty[0]!r} is empty: every cell of this tag has an earlier tag too; merge the tags")
    return tuple(names[k] for k in found), number.astype(np.int64)


def _borders(curve: SpaceCurve, group: Index) -> Array:
    """Return where the groups begin on a curve that keeps them together, and the end of the last."""
    along = group[curve.order]
    return np.append(curve.edges[:-1][np.flatnonzero(np.diff(along, prepend=-1))], 1.0)


__all__: Sequence[str] = ["SAMPLERS", "Choice", "make_sampler", "tag_groups"]

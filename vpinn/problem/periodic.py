"""Periodic sides: unknowns take the same values, or opposite ones, on both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Domain, Mesh
from vpinn.errors import InputError
from vpinn.problem.problem import Condition, Periodic
from vpinn.problem.schema import Settings
from vpinn.problem.source import Source
from vpinn.problem.unknown import Unknown

MATCH = 1e-6
"""Distance up to which places match, over the size of the domain."""


def make_periodic(
    settings: Settings, source: Source, domain: Domain, unknowns: Sequence[Unknown], boundary: Sequence[Condition]
) -> tuple[Periodic, ...]:
    """Return the pairs of periodic sides, with the translation from one to the other.

    Raises:
        InputError: the problem is steady, a tag or unknown does not exist, sides do not match, or a value is given there.
    """
    found = []
    for number, section in enumerate(settings.periodic):
        with source.located("periodic", number):
            if settings.domain is None or settings.domain.time is None:
                raise InputError("periodic sides are for problems in time so far; give time = [start, end] in [domain]")
            mesh = domain.with_cells()
            names = [unknown.name for unknown in unknowns]
            if section.unknown is not None and section.unknown not in names:
                raise InputError(f"there is no unknown {section.unknown!r}; there are {', '.join(names)}")
            own = tuple(names) if section.unknown is None else (section.unknown,)
            shift = _translation(mesh, section.start, section.to)
            both = np.concatenate([mesh.facets(section.start), mesh.facets(section.to)])
            for condition in boundary:
                if condition.unknown in own and np.isin(mesh.facets(condition.on), both).any():
                    raise InputError(
                        f"{condition.unknown} has a value on a periodic side; in the [[boundary]] on {', '.join(condition.on)} "
                        "name the other sides"
                    )
            found.append(Periodic(section.start, section.to, own, shift, float(section.factor)))
    return tuple(found)


def _translation(mesh: Mesh, start: str, to: str) -> NDArray[np.float64]:
    """Return the vector from one side to the other.

    Raises:
        InputError: the sides do not match.
    """
    one, other = (np.unique(mesh.facet_vertices(mesh.facets(tag))) for tag in (start, to))
    here, there = mesh.nodes[one], mesh.nodes[other]
    size = float(np.ptp(mesh.nodes[mesh.vertices].reshape(-1, mesh.dimension), axis=0).max())
    shift = there.min(axis=0) - here.min(axis=0)
    same = np.abs((here.max(axis=0) + shift) - there.max(axis=0)).max() <= MATCH * size
    if start == to or len(here) != len(there) or not same or len(matched(here + shift, there, MATCH * size)) != len(here):
        raise InputError(
            f"the sides '{start}' and '{to}' do not match: one is not the other moved, vertex by vertex ({len(here)} and "
            f"{len(there)} vertices); mesh them alike"
        )
    return np.asarray(shift)


def matched(here: NDArray[np.float64], there: NDArray[np.float64], distance: float) -> NDArray[np.int64]:
    """Return for each place [n, d] which of others [m, d] is there; fewer than n where some have none within a distance."""
    from scipy.spatial import cKDTree

    gaps, places = cKDTree(there).query(here)
    return np.asarray(places[gaps <= distance], dtype=np.int64)

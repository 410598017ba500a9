"""Rows of tables about many dimensions: subsets of coordinates, what they leave of the residual, and errors by random walks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WORDS = {"one": "1 coordinate", "two": "2 coordinates", "three": "3 coordinates"}
LISTED = 6
"""Subsets that are named, those of the largest share."""


def subset_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows; none for solutions of other kinds."""
    if "subset_counts" not in metrics:
        return []
    texts = [_counted(one) for one in metrics["subset_counts"]]
    largest = [_named(one["coordinates"], one["share"]) for one in metrics["subsets"][:LISTED]]
    more = sum(one["subsets"] for one in metrics["subset_counts"]) - len(largest)
    texts.append("largest shares: " + ", ".join(largest) + (f", and {more:,} more" if more > 0 else ""))
    rows = [("functions" if k == 0 else "", text) for k, text in enumerate(texts)]
    left, (low, high) = metrics["residual"], metrics["residual"]["interval"]
    told = f"{left['relative']:.2e} of that of zero, 95 % interval {low:.2e} to {high:.2e}, on {left['points']:,} fresh points"
    return [*rows, ("residual", told)]


def walk_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the row about the error that random walks measure; none without walks."""
    if (walks := metrics.get("walks")) is None:
        return []
    told = f"error {walks['relative']:.2e} ± {walks['deviation']:.1e} (relative), at {walks['points']:,} points"
    return [("random walks", f"{told} by {walks['walks']:,} walks each")]


def _counted(one: Mapping[str, Any]) -> str:
    """Return how many functions of so many coordinates there are, and their share of the solution."""
    count, size = one["subsets"], WORDS.get(one["coordinates"])
    of = "the distance of all" if size is None else f"{count:,} subset{'s' * (count != 1)} of {size}"
    return f"{one['functions']:,} of {of}: {100 * one['share']:.3g} %"


def _named(coordinates: Sequence[int], share: float) -> str:
    name = "the distance" if min(coordinates) < 0 else f"x[{'], x['.join(map(str, coordinates))}]"
    return f"{name} {100 * share:.2g} %"

"""The integrands of one measure, dx or ds, while they are gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Region
from vpinn.forms import Graph, Node, tag


@dataclass
class Integrands:
    """The integrands of one measure while they are gathered, as nodes of one graph."""

    graph: Graph
    region: type[Region]
    density: list[Node] = field(default_factory=list)
    roots: list[Node] = field(default_factory=list)
    """Roots R; the density contains ½R² for each."""
    residual: list[Node] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    """Tags of the parts over which some term is integrated; "all" if a term is integrated over everything."""
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Further boundary facets, where fluxes of a control variate live."""
    drawn: bool = False
    """Whether second derivatives are drawn, see `vpinn.objective.directions`."""

    def masked(self, node: Node, tags: Sequence[str]) -> Node:
        """Return the node multiplied by the indicator of the tagged parts; without tags, or with "all", the node itself."""
        self.tags |= set(tags) or {"all"}
        if not tags or "all" in tags:
            return node
        marks = [self.graph.slot(tag(name, self.region)) for name in tags]
        mark = marks[0] if len(marks) == 1 else self.graph.call("min", self.graph.add(marks), self.graph.number(1.0))
        return self.graph.multiply([mark, node])

"""A solved family: its reduced space with the elements that its functions belong to, from which any member is one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import LagrangeSpace, replayed
from vpinn.families.factors import FormFactors
from vpinn.families.interpolation import Interpolated
from vpinn.families.reduced import Queried, ReducedSpace
from vpinn.families.stages import FamilyStage
from vpinn.families.terms import Terms, boundary_factors
from vpinn.problem import Case, Parameters, member
from vpinn.trial import Trial, elements_trial

Array = NDArray[np.float64]
PREFIX = "family."
"""Beginning of the names of a family's arrays in a checkpoint."""


@dataclass(frozen=True, eq=False)
class Family:
    """A solved family.

    Attributes:
        problem: the family, on the mesh of the elements.
        elements: space of every component of the functions.
        functions: coefficients of the reduced space's functions [L + N, components, elements.size].
        space: the reduced space.
    """

    problem: Case
    elements: LagrangeSpace
    functions: Array
    space: ReducedSpace

    @classmethod
    def of(cls, stage: FamilyStage) -> Family:
        """Return the family of a stage; undetermined constants of its functions have mean zero."""
        coarse = stage.forms.coarse.elements
        rows = [coarse.mixed.embedded(coarse.kernel.without(row)) for row in stage.chosen.functions]
        return cls(coarse.problem, coarse.mixed.highest, np.stack(rows), stage.chosen.space)

    @property
    def parameters(self) -> Parameters:
        """The parameters."""
        return self.problem.ranges

    def query(self, values: Array) -> tuple[Case, Trial, Queried]:
        """Return the member at values of the parameters [P], its solution as elements, and its place in the reduced space."""
        answers = self.space.solve(values[None])
        problem = member(self.problem, values)
        return problem, elements_trial(problem, self.elements, np.tensordot(answers.shares[0], self.functions, 1)), answers

    def arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the family as arrays and JSON-compatible values, for ``restored``."""
        parts: list[tuple[str, Mapping[str, Any]]] = [("", self.space.arrays()), ("", {"functions": self.functions})]
        parts += [(f"{k}.", rest.arrays()) for k, rest in enumerate(self.space.factors.interpolated)]
        parts.append(("", {f"bisected.{k}": marked for k, marked in enumerate(self.elements.mesh.bisected)}))
        arrays = {f"{PREFIX}{start}{name}": array for start, part in parts for name, array in part.items()}
        return arrays, {"family": {"degree": self.elements.degree, "bisected": len(self.elements.mesh.bisected)}}

    @classmethod
    def restored(cls, problem: Case, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> Family:
        """Return the family that a checkpoint holds.

        Args:
            problem: the family on its original mesh.
            arrays: arrays of the checkpoint.
            meta: JSON part of the checkpoint.

        Raises:
            ValueError: it holds another family.
        """
        kept = meta["family"]
        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
        mesh = replayed(problem.domain.with_cells(), [own[f"bisected.{k}"] for k in range(kept["bisected"])])
        problem = replace(problem, domain=mesh)
        terms = Terms.of(problem)
        rests = tuple(Interpolated.restored(rest, mesh, _below(own, f"{k}.")) for k, rest in enumerate(terms.rests))
        factors = FormFactors(terms.factors, rests, boundary_factors(problem))
        space = ReducedSpace.restored(factors, own)
        if not np.allclose(factors(problem.ranges.center[None])[0][0], space.middle, rtol=1e-9, atol=1e-300):
            raise ValueError("the terms of the form are others")
        space.solve(problem.ranges.center[None])  # whatever does not fit together fails here
        elements = LagrangeSpace(mesh, kept["degree"])
        if own["functions"].shape[2] != elements.size:
            raise ValueError(f"functions {own['functions'].shape} on {elements.size} nodes")
        return cls(problem, elements, own["functions"], space)


def _below(arrays: Mapping[str, Any], start: str) -> dict[str, Any]:
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def unused(parameters: Parameters, count: int, generator: np.random.Generator) -> Sequence[Array]:
    """Return values of the parameters that no reduced space was made from, drawn evenly from the box [count, P]."""
    return list(parameters.at(generator.random((count, len(parameters.names)))))

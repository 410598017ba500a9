"""A march on the orthonormal feature space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import ufl
from numpy.typing import NDArray

from vpinn.domain import CellPoints, Points
from vpinn.features.orthonormal import Lift, Mixture, OrthonormalSpace, distances_of, homogeneous, make_lifts
from vpinn.march.integrate import Marched
from vpinn.march.measure import Field, field_of
from vpinn.march.stage import MarchStage
from vpinn.objective import weakened
from vpinn.placement import host
from vpinn.problem import Case, Problem
from vpinn.trial import Features, Imposed, Trial

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureMarch(MarchStage):
    """A march on orthonormal functions.

    Attributes:
        mixture: how features were drawn.
        space: what they span.
        lifts: of every component.
    """

    mixture: Mixture
    space: OrthonormalSpace
    lifts: tuple[Lift, ...]

    @property
    def size(self) -> int:
        """Number of functions."""
        return self.space.size

    @property
    def how(self) -> str:
        """What it was made of, in words."""
        return f"{self.size} orthonormal functions"

    @property
    def imposed(self) -> tuple[Imposed, ...]:
        """How values on the boundary are met."""
        return self.space.trial.imposed

    def at(self, points: Points) -> Field:
        """Return the field at points."""
        return field_of(self.space, self.lifts, self.marched.course, points)

    def trial_at(self, t: float, steady: Problem) -> tuple[Trial, torch.Tensor]:
        """Return the trial space of an instant and the parameters of the field there."""
        space = self.space
        parts, known = [], dict(space.trial.background.known)
        own = np.split(self.marched.course(t)[: space.size], np.cumsum(space.ranks)[:-1])
        for at, (lift, distance) in enumerate(zip(self.lifts, space.distances, strict=True)):
            value, fields = lift.field(t)
            known |= fields
            parts.append(value + distance * space.trial.function[at])
        unknowns, first = {}, 0
        for unknown in steady.unknowns:
            whole = parts[first : first + unknown.components]
            unknowns[unknown.name] = ufl.as_vector(whole) if unknown.shape else whole[0]
            first += unknown.components
        background = replace(space.trial.background, known=known)
        return replace(space.trial, unknowns=unknowns, background=background), space.parameters(own)

    def described(self) -> dict[str, Any]:
        """Return what metrics say of it."""
        return {"ranks": list(self.space.ranks), "features": self.mixture.width}

    def kept(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what a file keeps: arrays, and JSON-compatible values."""
        space, mixture = self.space, self.mixture
        arrays = {"theta": host(space.theta)}
        arrays |= {f"map.{k}": one for k, one in enumerate(space.maps)}
        arrays |= {f"spectrum.{k}": one for k, one in enumerate(space.spectra)}
        meta = {"kind": mixture.kind, "width": mixture.width, "seed": mixture.seed}
        return arrays, meta | {"degree": self.points.degree, "refine": self.points.refine}

    @classmethod
    def restored(cls, problem: Case, marched: Marched, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> FeatureMarch:
        """Return the march that a file keeps."""
        stated = weakened(problem)
        base = homogeneous(stated)
        mixture = Mixture(meta["kind"], meta["width"], meta["seed"])
        outputs = base.network.outputs
        network = Features.restored(base.network, (base.network.dimension, mixture.width, outputs), mixture.kind, ())
        trial = replace(base, network=network)
        maps = tuple(arrays[f"map.{k}"] for k in range(outputs))
        spectra = tuple(arrays[f"spectrum.{k}"] for k in range(outputs))
        space = OrthonormalSpace(stated, trial, torch.from_numpy(arrays["theta"]), distances_of(stated, trial), maps, spectra)
        points = CellPoints(stated.domain.with_cells(), meta["degree"], refine=meta["refine"])
        lifts = make_lifts(stated, base.background)
        return cls(problem, marched, points, mixture=mixture, space=space, lifts=lifts)

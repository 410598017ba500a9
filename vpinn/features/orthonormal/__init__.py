"""The orthonormal feature space: one object for everything that is solved on small dense arrays.

`mixture` (features of many scales) → `space` (orthonormal functions in their span) → `conditions` (lifts for values on the
boundary) → `form` (weak form in time as tapes) → `system` (Galerkin's equations for the coefficients); `in_time` evaluates known
expressions at any instant.
"""

from vpinn.features.orthonormal.conditions import Lift, homogeneous, make_lifts
from vpinn.features.orthonormal.in_time import AtPoints
from vpinn.features.orthonormal.mixture import Mixture
from vpinn.features.orthonormal.space import OrthonormalSpace, distances_of, make_space
from vpinn.features.orthonormal.system import GalerkinSystem

__all__ = [
    "AtPoints",
    "GalerkinSystem",
    "Lift",
    "Mixture",
    "OrthonormalSpace",
    "distances_of",
    "homogeneous",
    "make_lifts",
    "make_space",
]

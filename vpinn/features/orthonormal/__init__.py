"""The orthonormal feature space: a small set of orthonormal functions for problems in time.

In go a problem in time and random features; out come Galerkin's equations, ordinary differential equations for the coefficients
of the orthonormal functions, as small dense arrays.

`mixture` (random features of many scales) → `space` (their span made orthonormal over the quadrature points) → `in_time` (given
expressions at any instant) → `conditions` (lifts that take the boundary values) → `form` (the weak form as tapes) → `system`
(Galerkin's equations).
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

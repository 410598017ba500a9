"""Marching: time-dependent problems solved by Galerkin's method in space and an implicit method in time.

In goes a problem with ``time`` and its `vpinn.features.orthonormal` space; out comes a `MarchedSolution`, a field over space
and time with an error estimate.

`start` (projection of the initial state) → `trajectory` (the coefficients as piecewise polynomials in time) → `integrate`
(implicit steps, or exact solution mode by mode) → `measure` (norms over space and time) → `stages` (repetition with more
features; the difference of two stages is the error estimate; `journal` stores their results for a resumed run) → `solution`
(the field at any instant).
"""

from vpinn.march.integrate import Collapse, Marched, march
from vpinn.march.journal import MarchJournal
from vpinn.march.measure import Distance, Field, as_metrics, exact_field, gap_between
from vpinn.march.solution import MarchedSolution, arrays_of, frozen_formulation, make_solution, stage_of
from vpinn.march.stages import TOLERANCE, MarchStage, MarchStages
from vpinn.march.start import start
from vpinn.march.trajectory import Trajectory

__all__ = [
    "TOLERANCE",
    "Collapse",
    "Distance",
    "Field",
    "MarchJournal",
    "MarchStage",
    "MarchStages",
    "Marched",
    "MarchedSolution",
    "Trajectory",
    "arrays_of",
    "as_metrics",
    "exact_field",
    "frozen_formulation",
    "gap_between",
    "make_solution",
    "march",
    "stage_of",
    "start",
]

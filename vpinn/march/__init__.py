"""Marching: problems that depend on time, integrated on the orthonormal feature space.

`start` (the state projected) → `integrate` (implicit steps, or modes, exact in time) → `trajectory` (the state as polynomials) →
`measure` (norms over space and time) → `stages` (more features, with an estimate of the error) → `solution` (the field).
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

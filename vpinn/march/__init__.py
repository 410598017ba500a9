"""Marching: problems that depend on time, integrated on the orthonormal feature space.

`start` (the state projected) → `integrate` (implicit steps, or modes, exact in time) → `course` (the state as polynomials in time) →
`measure` (norms over space and time) → `stages` (more features, with an estimate of the error) → `solution` (the field).
"""

from vpinn.march.trajectory import Trajectory
from vpinn.march.integrate import Collapse, Marched, march
from vpinn.march.measure import Distance, Field, as_metrics, exact_field, gap_between
from vpinn.march.solution import MarchedSolution, arrays_of, make_solution, stage_of
from vpinn.march.stages import TOLERANCE, MarchStage, MarchStages
from vpinn.march.start import start

__all__ = [
    "TOLERANCE",
    "Collapse",
    "Trajectory",
    "Distance",
    "Field",
    "MarchStage",
    "MarchStages",
    "Marched",
    "MarchedSolution",
    "arrays_of",
    "as_metrics",
    "exact_field",
    "gap_between",
    "make_solution",
    "march",
    "stage_of",
    "start",
]

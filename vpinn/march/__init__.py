"""Marching: problems that depend on time, integrated on the orthonormal feature space.

`start` (the state projected) → `integrate` (implicit steps, or modes, exact in time) → `course` (the state as polynomials in time) →
`measure` (norms over space and time) → `stages` (more features, with an estimate of the error).
"""

from vpinn.march.course import Course
from vpinn.march.integrate import Collapse, Marched, march
from vpinn.march.measure import Gap, as_metrics, exact_field, gap_between
from vpinn.march.stages import MarchStage, Stages
from vpinn.march.start import start

__all__ = ["Collapse", "Course", "Gap", "MarchStage", "Marched", "Stages", "as_metrics", "exact_field", "gap_between", "march", "start"]

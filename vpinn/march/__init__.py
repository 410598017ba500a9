"""Marching: problems that depend on time, integrated on the orthonormal feature space or on elements.

`radau` (implicit steps for either) and `trajectory` (the state as polynomials in time). On features: `start` (the state
projected) → `integrate` (steps, or modes, exact in time) → `feature_march`, `feature_stages` (more features). On elements:
`prescribed` (values on the boundary) and `ties` (periodic sides) → `elements` (sparse equations) → `element_steps` →
`element_march`, `element_stages` (degrees rise). `measure` has norms over space and time, `stages` the choice of the space,
`solution` the field.
"""

from vpinn.march.element_march import ElementMarch
from vpinn.march.element_stages import ElementMarches
from vpinn.march.elements import ElementEquations
from vpinn.march.feature_stages import TOLERANCE, FeatureMarches
from vpinn.march.integrate import Collapse, Marched, march
from vpinn.march.measure import Distance, Field, as_metrics, exact_field, gap_between
from vpinn.march.solution import MarchedSolution, arrays_of, make_solution, stage_of
from vpinn.march.stage import MarchStage, frozen_formulation
from vpinn.march.stages import Marches, make_marches, on_elements
from vpinn.march.start import start
from vpinn.march.trajectory import Trajectory

__all__ = [
    "TOLERANCE",
    "Collapse",
    "Distance",
    "ElementEquations",
    "ElementMarch",
    "ElementMarches",
    "FeatureMarches",
    "Field",
    "MarchStage",
    "Marched",
    "MarchedSolution",
    "Marches",
    "Trajectory",
    "arrays_of",
    "as_metrics",
    "exact_field",
    "frozen_formulation",
    "gap_between",
    "make_marches",
    "make_solution",
    "march",
    "on_elements",
    "stage_of",
    "start",
]

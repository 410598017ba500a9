"""Marching: time-dependent problems solved by Galerkin's method in space and an implicit method in time.

In goes a problem with ``time``; out comes a `MarchedSolution`, a field over space and time with an error estimate. The functions
of space are orthonormal features (`vpinn.features.orthonormal`) or finite elements.

`radau` (implicit steps for any mass matrix) and `trajectory` (the coefficients as piecewise polynomials in time). On features:
`start` (projection of the initial state) → `integrate` (implicit steps, or exact solution mode by mode) → `feature_march`,
`feature_stages` (repetition with more features). On elements: `prescribed` (boundary values) and `ties` (periodic sides) →
`assembler`, `sparse`, `elements` (sparse equations) → `element_steps` → `element_march`, `element_stages` (repetition with higher
degrees). The difference of two stages is the error estimate (`measure`: norms over space and time); `journal` stores their
results for a resumed run; `stages` chooses the functions, `solution` gives the field at any instant, and `yardstick` marches on
elements to compare with.
"""

from vpinn.march.answers import answers_in_time, times_of
from vpinn.march.element_march import ElementMarch
from vpinn.march.element_stages import ElementMarches
from vpinn.march.elements import ElementEquations
from vpinn.march.feature_stages import FeatureMarches
from vpinn.march.integrate import Collapse
from vpinn.march.journal import MarchJournal
from vpinn.march.measure import Distance, as_metrics, exact_field, gap_between
from vpinn.march.solution import MarchedSolution, arrays_of, make_solution, stage_of
from vpinn.march.stage import MarchStage
from vpinn.march.stages import Marches, make_marches, on_elements
from vpinn.march.start import start
from vpinn.march.trajectory import Trajectory
from vpinn.march.yardstick import beside_elements, march_fem

__all__ = [
    "Collapse",
    "Distance",
    "ElementEquations",
    "ElementMarch",
    "ElementMarches",
    "FeatureMarches",
    "MarchJournal",
    "MarchStage",
    "MarchedSolution",
    "Marches",
    "Trajectory",
    "answers_in_time",
    "arrays_of",
    "as_metrics",
    "beside_elements",
    "exact_field",
    "gap_between",
    "make_marches",
    "make_solution",
    "march_fem",
    "on_elements",
    "stage_of",
    "start",
    "times_of",
]

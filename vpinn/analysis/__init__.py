"""Analysis: how accurate a solution is, and which of its checks fail.

In goes a `Solution`; out comes the same solution with errors, error estimate and failed checks in its ``metrics`` (`assess`).

1. `flux`, `tangent`: the linearised form around a solution, and the flux B(u), whose L² norm measures errors.
2. `errors`: the true error, if an exact solution or reference values are given; `finite_elements` compares with elements.
3. `residual`, `correction`, `features` → `estimate`: the error estimate, the distance of the solution to its correction in a
   richer space (finite elements of higher degree, or fresh random features).
4. `adequacy`, `data`, `boundary_data`, `clashes`, `carried`, `cauchy`, `geometry`, `free`, `local_size`, `pieces`, `missing`,
   `definite`, `uniqueness`, `resonance`: the checks of quadrature and test functions, of the data between the points, of
   boundary values that disagree, that are missing or that the equation does not carry, of the mesh against the true shape, of
   uniqueness, and of energies without a least value.
5. `effectivity`: the error estimate against the true error; `quantities`: integrals and further fields that the problem file
   asks for, with their errors.
6. `drawn`: the same quantities on a random part of the cells, for meshes with very many cells.
7. `assessment`: all of this at the end of a run. Start reading here.

While a run is going on, `monitor` evaluates the error of its current parameters, `stages` estimates the error of a stage of
least squares, and `marking` chooses the cells to refine.
"""

from vpinn.analysis.assessment import UNRESOLVED, answers_of, assess
from vpinn.analysis.beforehand import Freedom, free_beforehand
from vpinn.analysis.clashes import clashing_values
from vpinn.analysis.correction import Correction
from vpinn.analysis.data import resolved_data, unseen_data
from vpinn.analysis.drawn import assessed_objective
from vpinn.analysis.effectivity import is_near, is_right
from vpinn.analysis.errors import TrueError, independent_points, reference_errors
from vpinn.analysis.estimate import Estimate, Estimator, make_estimator
from vpinn.analysis.geometry import kink
from vpinn.analysis.marking import concentrated, refined
from vpinn.analysis.missing import missing_conditions
from vpinn.analysis.monitor import WATCHED_DEGREE, make_monitor, true_error
from vpinn.analysis.quantities import field_errors, quantities_of
from vpinn.analysis.stages import StageEstimators
from vpinn.analysis.walks import check_walk

__all__ = [
    "UNRESOLVED",
    "WATCHED_DEGREE",
    "Correction",
    "Estimate",
    "Estimator",
    "Freedom",
    "StageEstimators",
    "TrueError",
    "answers_of",
    "assess",
    "assessed_objective",
    "check_walk",
    "clashing_values",
    "concentrated",
    "field_errors",
    "free_beforehand",
    "independent_points",
    "is_near",
    "is_right",
    "kink",
    "make_estimator",
    "make_monitor",
    "missing_conditions",
    "quantities_of",
    "reference_errors",
    "refined",
    "resolved_data",
    "true_error",
    "unseen_data",
]

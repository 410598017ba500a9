"""Analysis: solution → true errors, error estimate, adequacy of the quadrature, and which checks fail."""

from vpinn.analysis.assessment import UNRESOLVED, assess
from vpinn.analysis.clashes import clashing_values
from vpinn.analysis.correction import Correction
from vpinn.analysis.data import resolved_data, unseen_data
from vpinn.analysis.drawn import assessed_objective
from vpinn.analysis.errors import TrueError, independent_points, reference_errors
from vpinn.analysis.estimate import Estimate, Estimator, make_estimator
from vpinn.analysis.marking import concentrated, refined
from vpinn.analysis.monitor import WATCHED_DEGREE, make_monitor, true_error
from vpinn.analysis.stages import StageEstimators
from vpinn.analysis.uniqueness import open_beforehand

__all__ = [
    "UNRESOLVED",
    "WATCHED_DEGREE",
    "Correction",
    "Estimate",
    "Estimator",
    "StageEstimators",
    "TrueError",
    "assess",
    "assessed_objective",
    "clashing_values",
    "concentrated",
    "independent_points",
    "make_estimator",
    "make_monitor",
    "open_beforehand",
    "reference_errors",
    "refined",
    "resolved_data",
    "true_error",
    "unseen_data",
]

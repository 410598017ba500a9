"""Optimisation: an objective and a plan → trained parameters.

`projection` (a last layer solved for) → `dimensionless` (before the first step) ;
`method`, `lbfgs`, `broyden`, `gauss_newton`, `spring`, `langevin`, `evolution` (one step) and
`schedule` (its size) → `loop` (all steps) ; `plan` (which of these), `choice` (why) ; `checkpoint` (nothing is lost).

What a run settles itself: `batching` (samplers of any size), `pilot` (before the first step), `clipping`, `watch`,
`divergence`, `rules` (on the way), `account` (what became of it). A Langevin walk: `directions` (where), `walk` (what it showed).
"""

from vpinn.optimization.account import policy_found, strata_found
from vpinn.optimization.batches import estimator_found
from vpinn.optimization.broyden import Broyden
from vpinn.optimization.checkpoint import load_arrays, save_arrays
from vpinn.optimization.choice import reason, with_batches
from vpinn.optimization.dimensionless import Start, make_start
from vpinn.optimization.divergence import final_parameters
from vpinn.optimization.evolution import Evolution
from vpinn.optimization.gauss_newton import GaussNewton, promised_decrease
from vpinn.optimization.langevin import Langevin
from vpinn.optimization.lbfgs import Lbfgs
from vpinn.optimization.loop import Plan, train
from vpinn.optimization.method import Adam, Closure, Method, NonFiniteError, Sgd
from vpinn.optimization.plan import candidates, make_plan, stated_problem, trained_objective, with_layers
from vpinn.optimization.rules import Rules, make_rules
from vpinn.optimization.schedule import Schedule
from vpinn.optimization.spring import Spring
from vpinn.optimization.tangents import moved_along, with_tangents
from vpinn.optimization.training import COLUMNS, Training
from vpinn.optimization.walk import Samples, samples_of, walk_found

__all__ = [
    "COLUMNS",
    "Adam",
    "Broyden",
    "Closure",
    "Evolution",
    "GaussNewton",
    "Langevin",
    "Lbfgs",
    "Method",
    "NonFiniteError",
    "Plan",
    "Rules",
    "Samples",
    "Schedule",
    "Sgd",
    "Spring",
    "Start",
    "Training",
    "candidates",
    "estimator_found",
    "final_parameters",
    "load_arrays",
    "make_plan",
    "make_rules",
    "make_start",
    "moved_along",
    "policy_found",
    "promised_decrease",
    "reason",
    "samples_of",
    "save_arrays",
    "stated_problem",
    "strata_found",
    "train",
    "trained_objective",
    "walk_found",
    "with_batches",
    "with_layers",
    "with_tangents",
]

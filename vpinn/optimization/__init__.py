"""Optimisation: train the parameters of a trial space until they minimise an objective.

Start with `plan.make_plan`, which turns the settings of a problem file into a `Plan`, and `loop.train`, which carries it out.

- Methods, which take one step each: `method` (the interface, gradient descent and Adam), `lbfgs`, `broyden`, `gauss_newton`,
  `spring`, `langevin`, `evolution`. `schedule` gives the size of the step; `choice` says in words why a method was picked.
- Mini-batches: `batching` (settings → samplers of any size), `batches` (the draws of one step), `watch` (noise of the
  gradients), `split` (share of each measure and tag in that noise), `clipping` (longest gradients).
- Before the first step: `dimensionless` (scales of unknowns and objective), `pilot` (noise and stable step size),
  `projection` (a solve for the last layer alone).
- During training: `training` (state of the run), `divergence` (rollbacks), `stagnation` (when to stop), `rules` (finer
  quadrature), `checkpoint` (files to resume from). Afterwards: `account` (what the run decided itself).
- Langevin sampling: `directions` (the subspace that is sampled), `walk` (statistics of the chain), `tangents` (the rest).
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

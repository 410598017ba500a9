"""Optimisation: the training loop, its methods, and the settings that a run chooses itself.

In go an objective and a `Plan`; out come trained parameters with the history of the run (`train`).

1. Methods, one step each, behind the contract of `method` (which also has Adam and SGD): `lbfgs` and `broyden` (with
   `quasi_newton`, `line_search`), `gauss_newton`, `spring`, `langevin`, `evolution`. `schedule` gives the step size.
2. Before the first step: `projection` (the last layer solved for), `dimensionless` (scales of unknowns and objective), `balance`
   (weights of equations), `pilot` (gradient noise and largest stable step, by `spectrum`).
3. Mini-batches: `batching` (samplers for the sizes that a policy may ask for), `batches` (one step's batches), `split` (noise
   by measure and tag).
4. During the run: `clipping`, `watch` (noise from the gradients of the steps), `rules` (finer quadrature), `divergence`
   (rollback), `stagnation` (the end). `training` is the state of a run, `checkpoint` its file,
   `settled` the types of the values that a run chooses.
5. `plan` turns the settings of a problem file into a plan, `choice` says why a method was chosen, `account` what the run chose.
6. `loop` puts all of this together; start reading there.

Langevin sampling also uses `directions` (the weights' directions in which it samples), `walk` (statistics of its samples) and
`tangents` (variance from all other directions).
"""

from vpinn.optimization.account import policy_found, steps_of, strata_found
from vpinn.optimization.balance import balanced_start
from vpinn.optimization.batches import estimator_found
from vpinn.optimization.broyden import Broyden
from vpinn.optimization.checkpoint import load_arrays, save_arrays
from vpinn.optimization.choice import reason, with_batches
from vpinn.optimization.coordinates import directions_found
from vpinn.optimization.dimensionless import Start, make_start
from vpinn.optimization.divergence import final_parameters
from vpinn.optimization.evolution import Evolution
from vpinn.optimization.exchange import compression_found
from vpinn.optimization.gauss_newton import GaussNewton, promised_decrease
from vpinn.optimization.langevin import Langevin, LangevinOnAll
from vpinn.optimization.lbfgs import Lbfgs
from vpinn.optimization.loop import train
from vpinn.optimization.method import Adam, Closure, Method, NonFiniteError, Sgd
from vpinn.optimization.plan import METHODS, candidates, make_plan, stated_problem, trained_objective, with_layers
from vpinn.optimization.planned import Plan
from vpinn.optimization.rules import Rules, make_rules
from vpinn.optimization.schedule import Schedule
from vpinn.optimization.spring import Spring
from vpinn.optimization.tangents import moved_along, with_tangents
from vpinn.optimization.training import COLUMNS, Training, history_row
from vpinn.optimization.walk import Samples, samples_of, walk_found

__all__ = [
    "COLUMNS",
    "METHODS",
    "Adam",
    "Broyden",
    "Closure",
    "Evolution",
    "GaussNewton",
    "Langevin",
    "LangevinOnAll",
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
    "balanced_start",
    "candidates",
    "compression_found",
    "directions_found",
    "estimator_found",
    "final_parameters",
    "history_row",
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
    "steps_of",
    "strata_found",
    "train",
    "trained_objective",
    "walk_found",
    "with_batches",
    "with_layers",
    "with_tangents",
]

"""Optimisation: an objective and a plan → trained parameters.

`method`, `lbfgs` (one step) and `schedule` (its size) → `loop` (all steps) ; `checkpoint`, `interrupt` (nothing is lost).
"""

from vpinn.optimization.checkpoint import load_arrays, save_arrays, write_atomic
from vpinn.optimization.interrupt import Interrupt
from vpinn.optimization.lbfgs import Lbfgs
from vpinn.optimization.loop import COLUMNS, Plan, Training, final_parameters, train
from vpinn.optimization.method import Adam, Closure, Method, NonFiniteError, Sgd
from vpinn.optimization.plan import make_plan
from vpinn.optimization.schedule import Schedule

__all__ = [
    "COLUMNS",
    "Adam",
    "Closure",
    "Interrupt",
    "Lbfgs",
    "Method",
    "NonFiniteError",
    "Plan",
    "Schedule",
    "Sgd",
    "Training",
    "final_parameters",
    "load_arrays",
    "make_plan",
    "save_arrays",
    "train",
    "write_atomic",
]

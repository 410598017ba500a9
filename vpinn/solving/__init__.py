"""Solving: from a problem to its assessed solution, with everything a run needs around it.

In goes a `Problem`; out comes a `Solution` and, if asked for, a run folder that can be resumed and loaded (`solve`, `load`).

`preparation` (trial space, objective and plan; also what ``vpinn check`` shows) → `strategy` (the contract of all ways to solve
a problem) → `steady` (the common part of strategies for steady problems): `steps` (training), `least_squares` (random
features), `elements` with `element_stages` (finite elements); `marching` with `march_outcome` (problems in time) → `run`
(choice of the strategy, assessment, run folder) → `published` (`vpinn.solve`: with progress, figures and report). While it works
a run tells `events` to callbacks, such as `logs`. Start reading in `run`.
"""

from vpinn.solving.events import Callback, Event, phases
from vpinn.solving.logs import JsonLines, TensorBoard
from vpinn.solving.preparation import Setup, prepare
from vpinn.solving.run import load, solve
from vpinn.solving.strategy import Hooks, Outcome, State, Strategy

__all__ = [
    "Callback",
    "Event",
    "Hooks",
    "JsonLines",
    "Outcome",
    "Setup",
    "State",
    "Strategy",
    "TensorBoard",
    "load",
    "phases",
    "prepare",
    "solve",
]

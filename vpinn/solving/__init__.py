"""Solve a problem: choose a strategy, run it, assess the solution, and keep the run folder.

`solve` takes a `Problem` and returns a `Solution`. If a directory is given, it also writes a run folder, which a later call can
resume and `load` can read.

| module | content |
|---|---|
| `strategy` | the interface that all ways to solve a problem implement: `Strategy`, its `State`, `Hooks` and `Outcome` |
| `preparation` | builds trial space, objective and plan of a steady problem; ``vpinn check`` shows them |
| `steady` | the common part of the strategies for steady problems |
| `steps` | training of a network, step by step |
| `least_squares`, `growth_record`, `cornered` | random features, whose number grows |
| `elements`, `element_stages` | finite elements of rising degree |
| `beside` | decides whether a network is added to finite elements |
| `marching`, `march_outcome` | problems that depend on time |
| `eigen` | eigenvalue problems |
| `families` | families of problems with parameters |
| `learning`, `contest` | weights and features learned from members of a family, and a comparison with other ways |
| `staged` | how strategies that work in stages end: by themselves, by a signal, or by the time limit |
| `events`, `logs` | events of a run for callbacks; JSON lines and TensorBoard |
| `strategies` | chooses the strategy of a problem |
| `origin`, `loaded` | another run that a run starts from; solutions read from run folders |
| `run` | runs it, assesses the solution and keeps the run folder; start reading here |
| `published` | `vpinn.solve`: a run with progress, whose folder also gets fields, figures and report |
| `sweep` | one run per value of a setting |
| `expectation` | how long a run may take, for ``vpinn check`` |
"""

from vpinn.solving.events import Callback, Event, phases
from vpinn.solving.few_coordinates import spaces_of_few_coordinates
from vpinn.solving.learning import learning_method
from vpinn.solving.loaded import load
from vpinn.solving.logs import JsonLines, TensorBoard
from vpinn.solving.preparation import Setup, prepare
from vpinn.solving.run import solve
from vpinn.solving.strategy import Hooks, Strategy

__all__ = [
    "Callback",
    "Event",
    "Hooks",
    "JsonLines",
    "Setup",
    "Strategy",
    "TensorBoard",
    "learning_method",
    "load",
    "phases",
    "prepare",
    "solve",
    "spaces_of_few_coordinates",
]

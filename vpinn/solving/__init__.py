"""Solving: problem → what is solved and how → a strategy at work → its solution, assessed.

`preparation` (trial space, objective and plan; what ``vpinn check`` shows) → `strategy` (what every way to solve a problem takes
and hands on), of which there are `steps` (training), `least_squares` (growth) and `elements` (with `element_stages`) → `run` (the
whole of it, with the run folder).
"""

from vpinn.solving.preparation import Setup, prepare
from vpinn.solving.run import load, solve
from vpinn.solving.strategy import Hooks, Outcome, State, Strategy

__all__ = ["Hooks", "Outcome", "Setup", "State", "Strategy", "load", "prepare", "solve"]

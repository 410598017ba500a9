"""Least squares with random features: solve for the best combination of random features, stage by stage, without training.

Start with `grow`, which makes stages with more and more features until the solution is good enough.

- Features: `recipes` (how they are drawn), `patches` (features in small parts of the domain), `resolution` (test functions and
  points that are fine enough for them).
- One fit: `least_squares` (all rows at once), `rank_revealing` (the factorisation), `stream` (rows from batches of points).
- Stages: `stages` (the best of several fits), `trial_spaces` (in which trial space), `cost` (their expected seconds), `growth`
  (the loop), with its state `course`, the callbacks `guide` and the record `journal` from which a run resumes.
- `direct` holds the settings of methods without steps; `orthonormal` has the functions for marching in time.
"""

from vpinn.features.cost import counted_seconds
from vpinn.features.direct import DEGREES, Direct, Elements, LeastSquares, March, least_squares_problem
from vpinn.features.growth import grow
from vpinn.features.guide import Guide
from vpinn.features.journal import Journal
from vpinn.features.least_squares import PILOT, tests_degree
from vpinn.features.resolution import Objectives, objective_for, widest
from vpinn.features.stages import Judgement, Stage, with_network

__all__ = [
    "DEGREES",
    "PILOT",
    "Direct",
    "Elements",
    "Guide",
    "Journal",
    "Judgement",
    "LeastSquares",
    "March",
    "Objectives",
    "Stage",
    "counted_seconds",
    "grow",
    "least_squares_problem",
    "objective_for",
    "tests_degree",
    "widest",
    "with_network",
]

"""Random features and the best combination of them: what is solved without steps, stage by stage.

`recipes` (where features stand and how steep they are), `patches` (some of them in one part of the domain), `resolution` (which
tests and points see them) ; `rank_revealing`, `least_squares` (one fit, all rows at once), `stream` (rows in chunks) → `stages`
(the best of several fits), `trial_spaces` (in which trial space), `cost` (seconds, counted) → `growth` (stage after stage until
it is good, a loop over the frozen `course`; `guide` is told and judges, `journal` keeps what was found out). `direct` holds the
settings of methods without steps. `orthonormal` has the functions that problems in time are marched on.
"""

from vpinn.features.cost import counted_seconds
from vpinn.features.direct import DEGREES, Direct, Elements, LeastSquares, March, least_squares_problem
from vpinn.features.growth import grow
from vpinn.features.guide import Guide
from vpinn.features.journal import Journal
from vpinn.features.least_squares import PILOT, pilot, tests_degree
from vpinn.features.recipes import Recipe
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
    "Recipe",
    "Stage",
    "counted_seconds",
    "grow",
    "least_squares_problem",
    "objective_for",
    "pilot",
    "tests_degree",
    "widest",
    "with_network",
]

"""Random features and their best combination: a network of one hidden layer, solved by linear least squares instead of training.

In goes an objective (a weak form or strong equations) with its trial spaces; out comes the best `Stage`: random weights in the
hidden layer, and the last layer that makes the residual smallest. `grow` repeats this with more features until the tolerance
holds.

1. `direct`: settings of the methods that do not train. `cost`: computation times predicted by a formula instead of measured.
2. `recipes` (kind and scale of the random features), `patches` (features with windows in one part of the domain), `resolution`
   (quadrature and test functions fine enough for them).
3. `rank_revealing`, `least_squares` (one fit of the last layer), `stream` (the same from drawn batches of rows).
4. `stages` (the best of several fits), `trial_spaces` (the trial spaces worth growing in).
5. `growth` (stage after stage). Its state is `course`; `guide` holds the callbacks that report and judge stages, `journal` the
   results that a resumed run reads again.

`orthonormal` builds the function space for problems in time.
"""

from vpinn.features.cost import counted_seconds
from vpinn.features.direct import DEGREES, Direct, Elements, LeastSquares, March, Reduced, least_squares_problem
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
    "Reduced",
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

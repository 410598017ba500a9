"""Many dimensions: sums of functions of few coordinates each, fitted by least squares without a mesh.

In goes a problem in strong form on a domain without a mesh; out come the stages of growth (`grow`), of which the best is the
solution, and what is known of its error.

1. `equations` (equations and conditions at drawn points, linearised), `fit` (streamed least squares, and the residual on fresh
   points).
2. `subsets` (levels: subsets of coordinates with their degrees), `candidates` (which levels the residual asks for), `growth`.
3. `estimate` (error, and the share of every subset).
"""

from vpinn.dimensions.equations import make_equations
from vpinn.dimensions.estimate import Share, SumError, estimated_error, shares
from vpinn.dimensions.growth import SumStage, Wanted, best_of, grow

__all__ = [
    "Share",
    "SumError",
    "SumStage",
    "Wanted",
    "best_of",
    "estimated_error",
    "grow",
    "make_equations",
    "shares",
]

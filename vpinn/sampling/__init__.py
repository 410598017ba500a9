"""Sampling: draw the quadrature points of a step, with weights that keep the estimate of every integral unbiased.

Start with `make.make_sampler`, which turns the names of a problem file into a `Sampler`.

- `curve` arranges a data set along [0, 1); drawing a number there draws a point. `sampler`, `stratified`, `quantiles`, `cells`
  and `quasi` draw the numbers; `nets` computes the variance of scrambled Sobol points.
- `allocation` splits a batch between strata, and `measures` between domain and boundary.
- `policy` sets the size of the batches over a run.
"""

from vpinn.sampling.allocation import ALLOCATIONS, allocate
from vpinn.sampling.cells import Cells
from vpinn.sampling.curve import SpaceCurve, cell_order
from vpinn.sampling.make import SAMPLERS, Choice, bare, least_points, make_sampler
from vpinn.sampling.measures import movable, noted, shared
from vpinn.sampling.policy import LOOK_EVERY, Fixed, Geometric, Logarithmic, NoiseScale, NormTest, Policy, best_batch
from vpinn.sampling.quantiles import Quantiles
from vpinn.sampling.quasi import Antithetic, Run, Sobol
from vpinn.sampling.sampler import NOTHING, Adaptive, Sampler, State, Uniform
from vpinn.sampling.stratified import Importance, Stratified

__all__ = [
    "ALLOCATIONS",
    "LOOK_EVERY",
    "NOTHING",
    "SAMPLERS",
    "Adaptive",
    "Antithetic",
    "Cells",
    "Choice",
    "Fixed",
    "Geometric",
    "Importance",
    "Logarithmic",
    "NoiseScale",
    "NormTest",
    "Policy",
    "Quantiles",
    "Run",
    "Sampler",
    "Sobol",
    "SpaceCurve",
    "State",
    "Stratified",
    "Uniform",
    "allocate",
    "bare",
    "best_batch",
    "cell_order",
    "least_points",
    "make_sampler",
    "movable",
    "noted",
    "shared",
]

"""Sampling: which quadrature points a training step sees, and the weights that keep every integral unbiased.

In goes a set of quadrature points; out comes a `Sampler`, which draws indices of points and the inverse of how often each is
expected. With these factors on the quadrature weights, the sum over a batch has the integral over all points as its mean.

1. `curve` lays the points out along [0, 1), each as long as its share of the measure, so that samplers choose numbers there.
2. `sampler` (the contract, and uniform draws), `stratified`, `quantiles`, `cells`, `quasi` (with `nets`): the samplers.
3. `allocation` divides a batch among strata, `measures` a step's points between domain and boundary.
4. `policy` decides the batch size over a run. `make` turns names of a problem file into samplers; start reading there.
"""

from vpinn.sampling.allocation import ALLOCATIONS
from vpinn.sampling.cells import Cells
from vpinn.sampling.curve import cell_order
from vpinn.sampling.make import SAMPLERS, Choice, least_points, make_sampler
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
    "State",
    "Stratified",
    "Uniform",
    "best_batch",
    "cell_order",
    "least_points",
    "make_sampler",
    "movable",
    "noted",
    "shared",
]

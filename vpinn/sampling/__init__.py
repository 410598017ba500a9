"""Sampling: which quadrature points a step sees, and the weights that keep every integral unbiased.

`curve` lays a data set out along [0, 1); `sampler`, `stratified`, `quantiles`, `cells` and `quasi` choose numbers there;
`allocation` says how many each stratum gets, `measures` how many domain and boundary; `make` turns names of a problem file
into samplers; `policy` says how large batches are over a run.
"""

from vpinn.sampling.allocation import ALLOCATIONS, allocate
from vpinn.sampling.cells import Cells
from vpinn.sampling.curve import SpaceCurve, cell_order
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
    "SpaceCurve",
    "State",
    "Stratified",
    "Uniform",
    "allocate",
    "best_batch",
    "cell_order",
    "least_points",
    "make_sampler",
    "movable",
    "noted",
    "shared",
]

"""Sampling: which quadrature points a step sees, and the weights that keep every integral unbiased."""

from vpinn.sampling.sampler import SAMPLERS, Sampler, Stratified, Uniform, cell_order, make_sampler

__all__ = ["SAMPLERS", "Sampler", "Stratified", "Uniform", "cell_order", "make_sampler"]

"""The bias of an outer gradient whose batch the inner step has used: the closed form beside what is measured on a member."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from vpinn.errors import InputError
from vpinn.learning.members import FamilyMember
from vpinn.noise.biases import InnerStep, reuse
from vpinn.noise.finding import Finding
from vpinn.noise.population import kept, population
from vpinn.noise.questions import settle
from vpinn.optimization.spectrum import difference_product, leading

BUDGET = 2e6
"""Points through the network that measurements may take."""
LANCZOS = 8
"""Steps of Lanczos' method that find the largest curvature, from which the inner step is chosen."""


def reused_batch(one: FamilyMember, theta: Tensor, size: int, generator: np.random.Generator) -> list[Finding]:
    """Return the bias of the meta-gradient after one plain inner step, with its factor 1 − αH and without it.

    Args:
        one: member on which it is measured.
        theta: common weights [size].
        size: points of the batch.
        generator: random numbers of the draws.

    Returns:
        Two findings; [] where the member has too many points, or no gradient.
    """
    objective = one.objective
    try:
        people = kept(population(objective, theta, generator), generator)
    except InputError:
        return []
    product = difference_product(objective.gradient, theta)
    stiffest = abs(float(leading(product, len(theta), 1, generator, min(len(theta), LANCZOS)).values[0]))
    steps = [InnerStep(size, stiffest, factor) for factor in (True, False)]
    return settle([reuse(people, product, step, generator) for step in steps], BUDGET)[0]

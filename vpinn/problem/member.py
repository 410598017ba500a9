"""The members of a family: problems like any other, with numbers in place of the parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import ufl
from numpy.typing import NDArray

from vpinn.problem.problem import Stated
from vpinn.problem.substitution import substituted


def member(problem: Stated, values: NDArray[np.float64]) -> Stated:
    """Return the member of a family at values of its parameters [P]: a problem without parameters."""
    parameters = problem.parameters
    assert parameters is not None
    title = f"{problem.title} ({parameters.told(values)})"
    numbers = ufl.as_vector([float(value) for value in values])
    return replace(substituted(problem, {parameters.symbol: numbers}), title=title, parameters=None)

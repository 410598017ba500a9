"""Random entire functions, among which functions that can be added to a solution are looked for."""

from __future__ import annotations

from dataclasses import replace

import torch

from vpinn.features.recipes import Recipe
from vpinn.placement import HOST
from vpinn.trial import Features

RECIPE = Recipe("sin", 1.2)
"""Features that are drawn: entire functions, whose span comes close to smooth free functions fastest."""
PER_AXIS = 8.0
"""Features per coordinate above which their scale grows in proportion, so that modes of many waves are found, too."""
STRAIGHT = 1e-5
"""Slope of the features that represent coordinates, small enough to be linear, in units of one over half the domain's width."""


def recipe_of(width: int, dimension: int) -> Recipe:
    """Return features of which ``width`` are drawn: the more of them there are per coordinate, the faster they oscillate."""
    return replace(RECIPE, scale=RECIPE.scale * max(1.0, width ** (1 / dimension) / PER_AXIS))


def straight(network: Features, theta: torch.Tensor) -> torch.Tensor:
    """Return parameters [size] in which the first features represent the coordinates, for rotations and linear functions."""
    moved, d = theta.clone(), network.layers[0]
    weight, bias = network.unpack(moved)[0]
    weight[:d], bias[:d] = STRAIGHT * torch.eye(d, dtype=torch.float64, device=HOST), 0.0
    return moved

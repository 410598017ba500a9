"""Gaussian priors of coefficients, and the numbers that evidence chooses: noise, and the size, length and smoothness of fields.

A field without a given prior has the variances s² w_k with w_k ∝ (1 + (ℓω_k)²/2p)^−p and Σ w_k = 1, where ω_k is the frequency of
the kth function: a Matérn process of standard deviation s and length ℓ, whose smoothness grows with p up to that of a Gaussian
covariance. Its constant, and a number without a prior, may have any value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vpinn.inference.basis import Basis
from vpinn.inference.forward import Forward
from vpinn.problem.inverse import Inferred, PriorSection

Array = NDArray[np.float64]
SPREAD = 3.0
"""Standard deviation of the logarithm of each chosen number about its guess: a wide hyperprior, for data that say nothing."""
LENGTH = 0.3
"""Guess of the length of a field, relative to the extent of the domain."""
SMOOTHNESS = 4.0
"""Guess of p."""


@dataclass(frozen=True, eq=False)
class FieldPrior:
    """The prior of a field's coefficients.

    Attributes:
        part: positions of the coefficients.
        basis: their functions.
        given: log s, log ℓ, log p; None where evidence chooses them.
    """

    part: slice
    basis: Basis
    given: Array | None = None

    @property
    def guess(self) -> Array:
        """First guess of log s, log ℓ, log p [3], and mean of their hyperprior."""
        return np.log([1.0, LENGTH * self.basis.extent, SMOOTHNESS])

    @cached_property
    def limits(self) -> Array:
        """Smallest and largest log s, log ℓ, log p [3, 2]; the length is one that functions and box resolve."""
        d, extent = len(self.basis.length), self.basis.extent
        shortest = 2.0 / self.basis.frequencies.max()
        longest = self.basis.margin * extent
        return np.log([[1e-3, 10.0], [min(shortest, 0.5 * longest), longest], [0.5 * d + 0.5, 30.0]])

    def log_variances(self, chosen: Array) -> Array:
        """Return the logarithm of each coefficient's variance [size] for log s, log ℓ, log p."""
        size, length, power = np.exp(chosen)
        decay = -power * np.log1p((length * self.basis.frequencies) ** 2 / (2.0 * power))
        return np.asarray(2.0 * np.log(size) + decay - np.log(np.exp(decay).sum()))


@dataclass(frozen=True, eq=False)
class Prior:
    """The prior of all coefficients and the noise of all sections, as functions of the numbers that evidence chooses.

    Attributes:
        fixed: precision of each coefficient where it is known [P]: 0 of those that may have any value.
        fields: the fields.
        noise: standard deviation of each section of the data; nan where it is chosen.
        guess: first guess of a noise that is inferred.
    """

    fixed: Array
    fields: tuple[FieldPrior, ...]
    noise: Array
    guess: Array

    @classmethod
    def of(cls, forward: Forward) -> Prior:
        """Return the prior of a model's unknowns."""
        fixed, fields = np.zeros(forward.size), list[FieldPrior]()
        for one in forward.inverse.inferred:
            part, stated = forward.parts[one.name], one.section.prior
            if one.field:
                fields.append(FieldPrior(part, forward.bases[one.name], _given(one)))
            elif isinstance(stated, PriorSection):
                fixed[part] = (one.scale / stated.std) ** 2
        data = forward.inverse.data
        noise = np.array([np.nan if one.noise is None else one.noise for one in data])
        guess = np.array([0.1 * float(np.std(one.values)) or float(np.abs(one.values).max()) or 1.0 for one in data])
        return cls(fixed, tuple(fields), noise, guess)

    @property
    def open(self) -> NDArray[np.bool_]:
        """Which sections' noise is chosen."""
        return np.isnan(self.noise)

    @property
    def chosen_fields(self) -> list[FieldPrior]:
        """The fields whose prior is chosen."""
        return [field for field in self.fields if field.given is None]

    @property
    def start(self) -> Array:
        """First guess of the chosen numbers: logarithms of noise, then of size, length and smoothness of each field."""
        return np.concatenate([np.log(self.guess[self.open]), *(field.guess for field in self.chosen_fields)])

    @property
    def limits(self) -> Array:
        """Smallest and largest of each chosen number [k, 2]."""
        noise = np.log(self.guess[self.open])[:, None] + np.log([1e-12, 1e3])
        return np.concatenate([noise, *(field.limits for field in self.chosen_fields)])

    def within(self, chosen: Array) -> Array:
        """Return chosen numbers [k], each moved into its limits."""
        return np.clip(chosen, *self.limits.T) if len(chosen) else chosen

    @property
    def weights(self) -> Array:
        """Precision of the hyperprior of each chosen number [k]: none of noise."""
        return np.repeat([0.0, SPREAD**-2], [int(self.open.sum()), 3 * len(self.chosen_fields)])

    def noises(self, chosen: Array) -> Array:
        """Return the standard deviation of each section [sections]."""
        found = self.noise.copy()
        found[self.open] = np.exp(chosen[: int(self.open.sum())])
        return found

    def precisions(self, chosen: Array) -> Array:
        """Return the precision of each coefficient [P], zero where any value is as good."""
        found, at = self.fixed.copy(), int(self.open.sum())
        for field in self.fields:
            own = field.given
            if own is None:
                own, at = chosen[at : at + 3], at + 3
            found[field.part] = np.exp(-field.log_variances(own))
            if field.given is None:
                found[field.part.start] = 0.0
        return found


def _given(one: Inferred) -> Array | None:
    """Return log s, log ℓ, log p of a prior that is stated."""
    stated = one.section.prior
    if not isinstance(stated, PriorSection):
        return None
    assert stated.length is not None
    bounded = one.section.lower is not None or one.section.upper is not None
    return np.log([stated.std if bounded else stated.std / one.scale, stated.length, SMOOTHNESS])

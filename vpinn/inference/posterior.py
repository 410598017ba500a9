"""The posterior of the unknowns: values, standard deviations, correlations, and directions that the data do not constrain.

The covariance is Laplace's approximation: the inverse of the curvature of the negative log posterior at its minimum. Noise and
priors that were chosen by evidence count as known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.inference.forward import Forward
from vpinn.inference.gauss_newton import Fitted

Array = NDArray[np.float64]
UNSEEN = 1e-7
"""Singular value of the scaled curvature's root below which the data do not constrain a direction."""
SHARED = 0.1
"""Share in a direction above which an unknown is named in the message about it."""
VAGUE = 30.0
"""Standard deviation of a coefficient without a prior, in units of its scale, from which the data say next to nothing of it."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """The Gaussian that approximates what is known of the coefficients after the data.

    Attributes:
        forward: the model.
        fit: coefficients of largest density.
    """

    forward: Forward
    fit: Fitted

    @cached_property
    def _decomposed(self) -> tuple[Array, Array, Array]:
        """Scales of the coefficients [P], singular values [P] and right singular vectors [P, P] of the scaled rows."""
        rows = self.fit.linear.weighted(self.fit.chosen)[0]
        sizes = np.linalg.norm(rows, axis=0)
        sizes[sizes == 0.0] = 1.0
        values, vectors = np.linalg.svd(np.linalg.qr(rows / sizes, mode="r"))[1:]
        return sizes, values, vectors

    @cached_property
    def root(self) -> Array:
        """S with covariance S Sᵀ of the coefficients [P, directions that data or priors see]."""
        sizes, values, vectors = self._decomposed
        seen = values > UNSEEN * values[0]
        return np.asarray((vectors[seen] / values[seen, None]).T / sizes[:, None])

    @property
    def unseen(self) -> list[str]:
        """Directions that neither data nor priors determine, each in words."""
        _, values, vectors = self._decomposed
        found = []
        for vector in vectors[values <= UNSEEN * values[0]]:
            names = [name for name, part in self.forward.parts.items() if np.linalg.norm(vector[part]) > SHARED]
            found.append(names[0] if len(names) == 1 else f"a combination of {' and '.join(names)}")
        roots = np.linalg.norm(self.root, axis=1)
        numbers = (one for one in self.forward.inverse.numbers if one.section.prior == "auto")
        found += [one.name for one in numbers if roots[self.forward.parts[one.name]][0] > VAGUE and one.name not in found]
        return found

    @property
    def coefficients(self) -> Array:
        """Coefficients of largest density [P]."""
        return self.fit.prediction.coefficients

    @cached_property
    def numbers(self) -> dict[str, dict[str, float]]:
        """Unknown number → "value" and "std", in its unit."""
        found = dict[str, dict[str, float]]()
        for one in self.forward.inverse.numbers:
            part = self.forward.parts[one.name]
            slope = float(one.slope(self.coefficients[part])[0])
            deviation = abs(slope) * float(np.linalg.norm(self.root[part]))
            found[one.name] = {"value": self.forward.number(one, self.coefficients), "std": deviation}
        return found

    @cached_property
    def correlation(self) -> Array:
        """Correlation of the unknown numbers [k, k]."""
        parts = [self.root[self.forward.parts[one.name]] for one in self.forward.inverse.numbers]
        rows = np.concatenate(parts or [self.root[:0]])
        norms = np.linalg.norm(rows, axis=1)
        norms[norms == 0.0] = 1.0
        rows = rows / norms[:, None]
        return np.asarray(rows @ rows.T)

    def field(self, name: str, x: Array) -> tuple[Array, Array]:
        """Return value and standard deviation of an unknown field at points [n, d]: [n] each, in its unit."""
        (one,) = (one for one in self.forward.inverse.fields if one.name == name)
        part, table = self.forward.parts[name], self.forward.bases[name].values(x)
        s = table @ self.coefficients[part]
        return one.value(s), np.abs(one.slope(s)) * np.linalg.norm(table @ self.root[part], axis=1)

    @property
    def effective(self) -> float:
        """Number of coefficients that the data determine, and not the prior: Σ 1 − precision · variance."""
        precisions = self.fit.linear.prior.precisions(self.fit.chosen)
        return float(self.root.shape[1] - precisions @ (self.root**2).sum(axis=1))

    @cached_property
    def residuals(self) -> Array:
        """(data − prediction)/noise of all measurements [n]."""
        return np.asarray((self.forward.data - self.fit.prediction.values) / self.noise)

    @cached_property
    def noise(self) -> Array:
        """Standard deviation of each measurement [n]."""
        noises = self.fit.linear.prior.noises(self.fit.chosen)
        return np.asarray(np.repeat(noises, [part.stop - part.start for part in self.forward.sections]))

    @cached_property
    def leverages(self) -> Array:
        """Share of each measurement in its own prediction [n], 0 … 1."""
        seen = (self.fit.linear.slopes / self.noise[:, None]) @ self.root
        return np.asarray(np.minimum((seen**2).sum(axis=1), 1.0))

    @property
    def priors(self) -> dict[str, dict[str, Any]]:
        """Unknown field → "size" (dimensionless), "length" and "smoothness" of its prior."""
        prior, found = self.fit.linear.prior, dict[str, dict[str, Any]]()
        at = int(prior.open.sum())
        for one, field in zip(self.forward.inverse.fields, prior.fields, strict=True):
            own = field.given
            if own is None:
                own, at = self.fit.chosen[at : at + 3], at + 3
            size, length, power = np.exp(own)
            found[one.name] = {"size": float(size), "length": float(length), "smoothness": float(power)}
        return found

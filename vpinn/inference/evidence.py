"""Noise and priors by the evidence of the data, for measurements that depend linearly on the coefficients.

With z = J c + ε, the evidence is the density of z when c is integrated out (MacKay 1992, Neural Computation 4, 415–447; where
coefficients may have any value, it is the restricted likelihood).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from vpinn.inference.prior import Prior

Array = NDArray[np.float64]
NUDGE = 1e-5
"""Step of the difference quotients of log variances with respect to the logarithms of length and smoothness."""
LOWEST = 1e-300
"""Smallest number whose logarithm is taken."""


@dataclass(frozen=True, eq=False)
class Linear:
    """Measurements z = J c + ε of coefficients c.

    Attributes:
        slopes: J [n, P].
        targets: z [n].
        sections: positions of the values of each section.
        prior: prior of the coefficients and of the noise.
    """

    slopes: Array
    targets: Array
    sections: Sequence[slice]
    prior: Prior

    @cached_property
    def compressed(self) -> list[Array]:
        """Section by section [J z] with at most P + 1 rows, by a QR factorisation: ‖z − J c‖ is the same for every c."""
        found = []
        for part in self.sections:
            both = np.column_stack([self.slopes[part], self.targets[part]])
            found.append(np.asarray(np.linalg.qr(both, mode="r")) if len(both) > both.shape[1] else both)
        return found

    def weighted(self, chosen: Array) -> tuple[Array, Array]:
        """Return rows and right side of the least squares problem for c [m + P, P], [m + P], with m ≤ n."""
        parts = [part / noise for part, noise in zip(self.compressed, self.prior.noises(chosen), strict=True)]
        roots = np.sqrt(self.prior.precisions(chosen))
        whole = np.vstack([*parts, np.column_stack([np.diag(roots), np.zeros(len(roots))])])
        return whole[:, :-1], whole[:, -1]

    def chosen(self, start: Array) -> Array:
        """Return the numbers of noise and prior that maximise the evidence, by a local search from ``start``."""
        if not len(start):
            return start
        found = minimize(self.cost, start, jac=True, method="L-BFGS-B", bounds=self.prior.limits, options={"maxiter": 60})
        return np.asarray(found.x)

    @cached_property
    def _products(self) -> list[tuple[Array, Array, float]]:
        """Section by section JᵀJ [P, P], Jᵀz [P] and zᵀz."""
        parts = [(part[:, :-1], part[:, -1]) for part in self.compressed]
        return [(slopes.T @ slopes, slopes.T @ targets, float(targets @ targets)) for slopes, targets in parts]

    def cost(self, chosen: Array) -> tuple[float, Array]:
        """Return −log evidence, up to a constant, and its gradient by the chosen numbers [k]."""
        prior = self.prior
        grams, rights, norms = zip(*self._products, strict=True)
        variances, precisions = prior.noises(chosen) ** 2, prior.precisions(chosen)
        hessian = np.diag(precisions) + sum(gram / v for gram, v in zip(grams, variances, strict=True))
        scale = 1.0 / np.sqrt(np.maximum(np.diag(hessian), LOWEST))
        try:
            factor = cho_factor(scale[:, None] * hessian * scale + 1e-14 * np.eye(len(scale)), lower=True)
        except np.linalg.LinAlgError:
            return np.inf, np.zeros_like(chosen)
        mean = scale * cho_solve(factor, scale * sum(b / v for b, v in zip(rights, variances, strict=True)))
        root = solve_triangular(factor[0], np.diag(scale), lower=True)
        inverse = root.T @ root
        left = [
            max(q - 2.0 * float(b @ mean) + float(mean @ gram @ mean), 0.0)
            for gram, b, q in zip(grams, rights, norms, strict=True)
        ]
        counts = [part.stop - part.start for part in self.sections]
        held = precisions > 0.0
        logs = 2.0 * (np.log(np.diag(factor[0])) - np.log(scale)).sum() - np.log(precisions[held]).sum()
        cost = 0.5 * (logs + float(precisions @ mean**2))
        cost += 0.5 * sum(n * np.log(v) + rest / v for n, v, rest in zip(counts, variances, left, strict=True))
        shares = 0.5 * (1.0 - precisions * (np.diag(inverse) + mean**2))  # by the log of each variance
        gradient = list[float]()
        for k in map(int, np.flatnonzero(prior.open)):
            seen = float((inverse * grams[k]).sum()) / variances[k]
            gradient.append(counts[k] - seen - left[k] / variances[k])
        at = len(gradient)
        for field in prior.chosen_fields:
            own, here = chosen[at : at + 3], shares[field.part].copy()
            here[0] = 0.0
            base = field.log_variances(own)
            for i in range(3):
                moved = own.copy()
                moved[i] += NUDGE
                gradient.append(float(here @ (field.log_variances(moved) - base)) / NUDGE)
            at += 3
        away = chosen - prior.start
        return cost + 0.5 * float(prior.weights @ away**2), np.array(gradient) + prior.weights * away

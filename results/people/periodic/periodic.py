"""Periodic sampling: every (N/b)-th quadrature point, from a random start."""

import numpy as np

from vpinn.sampling import Sampler
from vpinn.testing import check_sampler


class Periodic(Sampler):
    """Draws point ⌊(u + k) N/b⌋ for k = 0 … b − 1, with one uniform u; every point is drawn b/N times on average."""

    def draw(self, generator, state=None):
        return self.started(generator.random()), np.full(self.size, self.points / self.size)

    def started(self, u):
        return np.floor((u + np.arange(self.size)) * self.points / self.size).astype(np.int64)

    def variance(self, contributions, state=None):
        ends = np.unique(np.append(np.arange(self.points) * self.size / self.points % 1.0, 1.0))
        sums = [contributions[self.started(u)].sum() * self.points / self.size for u in (ends[1:] + ends[:-1]) / 2]
        return float(np.diff(ends) @ (np.array(sums) - contributions.sum()) ** 2)


def make(points, size, choice):
    return Periodic(points.size, size)


def test_periodic_sampling_is_unbiased():
    check_sampler(lambda points, size: Periodic(points.size, size))

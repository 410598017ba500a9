"""Sequential sampling: samples are added until every finding has a certain verdict or the budget is spent. See `settle`.

A `Question` computes findings from samples (independent draws, or steps of a trajectory). While one of its verdicts is open, its
samples are doubled, the cheapest first. Cost is counted in points evaluated by the network, so that a report is the same on every
machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vpinn.noise.finding import Array, Curve, Finding

MOST_BYTES = 200e6
"""Memory for the samples of one kind [bytes]; beyond it they are not doubled any more."""


@dataclass
class OpenSamples:
    """Samples of one kind, whose number can be increased.

    Attributes:
        draw: Function from a number of samples to new samples [number, k].
        cost: Cost of one sample, in points through the network.
        fewest: Number of samples drawn first.
        values: Samples drawn so far [n, k].
    """

    draw: Callable[[int], Array]
    cost: float
    fewest: int
    values: Array = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def price(self) -> float:
        """Cost of the next call of ``grow``, in points through the network."""
        return self.cost * (len(self.values) or self.fewest)

    @property
    def full(self) -> bool:
        """Whether doubling the samples would exceed ``MOST_BYTES``."""
        return 2 * self.values.nbytes > MOST_BYTES

    def grow(self) -> None:
        """Draw the first samples, or double their number."""
        count = len(self.values) or self.fewest
        found = self.draw(count)
        self.values = np.concatenate([self.values, found]) if len(self.values) else found


@dataclass(frozen=True)
class Question:
    """Findings and curves that are computed from samples.

    Attributes:
        samples: The samples, which other questions may share.
        rows: Function that returns the findings from the samples drawn so far.
        curves: Function that returns the curves from them, by name.
    """

    samples: tuple[OpenSamples, ...]
    rows: Callable[[], Sequence[Finding]]
    curves: Callable[[], dict[str, Curve]] = dict


def settle(questions: Sequence[Question], points: float) -> tuple[list[Finding], float]:
    """Draw samples until no finding is open, or the budget is spent.

    Args:
        questions: Questions to decide.
        points: Budget, in points through the network; the first samples of every kind are drawn even if they exceed it.

    Returns:
        All findings, and the points spent.
    """
    spent = 0.0
    for one in _all(questions):
        if not len(one.values):
            spent += one.price
            one.grow()
    answers = [list(question.rows()) for question in questions]
    while True:
        waiting = [
            (sum(one.price for one in question.samples), k)
            for k, question in enumerate(questions)
            if question.samples and any(row.open for row in answers[k]) and not any(one.full for one in question.samples)
        ]
        price, chosen = min(waiting, default=(np.inf, 0))
        if spent + price > points:
            return [row for rows in answers for row in rows], spent
        spent += price
        grown = questions[chosen].samples
        for one in grown:
            one.grow()
        for k, question in enumerate(questions):
            if any(one is other for one in question.samples for other in grown):
                answers[k] = list(question.rows())


def _all(questions: Iterable[Question]) -> list[OpenSamples]:
    """Return the samples of all questions in order, shared ones once."""
    return list({id(one): one for question in questions for one in question.samples}.values())

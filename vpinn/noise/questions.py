"""Questions that are measured until they are decided, as long as there are points to spend.

What is measured is a mean over independent samples, or over the steps of a walk. Where a verdict is open, the samples behind it
are doubled, those that cost least first; the cost is counted in points, so that a report is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vpinn.noise.finding import Array, Curve, Finding

MOST_BYTES = 200e6
"""Memory that the samples of one kind may take."""


@dataclass
class OpenSamples:
    """Samples of one kind, as many as were asked for so far.

    Attributes:
        draw: how many → [count, k].
        cost: of one, in points through the network.
        fewest: how many are drawn at first.
        values: drawn so far [n, k].
    """

    draw: Callable[[int], Array]
    cost: float
    fewest: int
    values: Array = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def price(self) -> float:
        """Points that ``grow`` takes."""
        return self.cost * (len(self.values) or self.fewest)

    @property
    def full(self) -> bool:
        """Whether there is no memory for as many again."""
        return 2 * self.values.nbytes > MOST_BYTES

    def grow(self) -> None:
        """Draw the first samples, or as many again."""
        count = len(self.values) or self.fewest
        found = self.draw(count)
        self.values = np.concatenate([self.values, found]) if len(self.values) else found


@dataclass(frozen=True)
class Question:
    """Something that samples answer.

    Attributes:
        samples: what is looked at.
        rows: findings by the samples so far.
        curves: figures' data by them.
    """

    samples: tuple[OpenSamples, ...]
    rows: Callable[[], Sequence[Finding]]
    curves: Callable[[], dict[str, Curve]] = dict


def settle(questions: Sequence[Question], points: float) -> tuple[list[Finding], float]:
    """Draw until every question is decided, or the points are spent.

    Args:
        questions: may share samples.
        points: that may be spent; the first samples of every kind are drawn whatever they take.

    Returns:
        all findings, and the points spent.
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
            if question.samples
            and any(row.open for row in answers[k])
            and not any(one.full for one in question.samples)
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
    """Return the samples of all questions, each once, in order."""
    return list({id(one): one for question in questions for one in question.samples}.values())

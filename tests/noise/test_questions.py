"""Test that samples are drawn for undecided questions only, up to a given cost. Seeds are fixed."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.noise.draws import mean_and_error
from vpinn.noise.finding import Finding
from vpinn.noise.questions import OpenSamples, Question, settle


def asked(mean: float, deviation: float, predicted: float = 1.0, cost: float = 1.0, seed: int = 0) -> Question:
    """Return the question whether the mean of normal numbers equals a prediction."""
    generator = np.random.default_rng(seed)
    samples = OpenSamples(lambda count: mean + deviation * generator.standard_normal((count, 1)), cost, 16)
    return Question((samples,), lambda: [Finding(1, "q", predicted, *mean_and_error(samples.values[:, 0]))])


def test_what_is_decided_is_not_drawn_on() -> None:
    """The first sixteen samples tell the narrow one; the wide one, four times its mean, needs over a thousand for a tenth."""
    narrow, wide = asked(1.0, 0.05), asked(1.0, 4.0)
    rows, spent = settle([narrow, wide], 1e6)
    assert rows[0].verdict == "holds"
    assert rows[1].verdict.startswith(("holds", "equal within"))
    drawn = [len(question.samples[0].values) for question in (narrow, wide)]
    assert drawn[0] == 16
    assert 500 < drawn[1] < 20_000
    assert spent == sum(drawn)


def test_a_wrong_prediction_is_refuted_by_more_samples() -> None:
    question = asked(1.0, 4.0, 1.5)
    assert question.samples[0].values.size == 0
    (row,), _ = settle([question], 1e6)
    assert row.verdict.startswith("fails by")
    assert not row.open


@pytest.mark.parametrize("points", [0.0, 100.0, 1000.0])
def test_no_more_is_spent_than_there_is(points: float) -> None:
    """But for the first samples of every kind; the cheaper question is drawn on before the dearer one."""
    cheap, dear = asked(1.0, 1e3, seed=1), asked(1.0, 1e3, cost=10.0, seed=2)
    rows, spent = settle([cheap, dear], points)
    assert all(row.verdict.startswith("undecided") for row in rows)
    assert spent <= max(points, 16 + 160)
    assert len(cheap.samples[0].values) >= len(dear.samples[0].values)


def test_shared_samples_are_drawn_once() -> None:
    """Of two questions about the same samples one is open: the other is answered by what it draws, too."""
    first = asked(1.0, 1.0)
    second = Question(first.samples, lambda: [Finding(2, "n", 1.0, 1.0, reason=str(len(first.samples[0].values)))])
    rows, spent = settle([first, second], 1e6)
    assert spent == len(first.samples[0].values) > 16
    assert rows[1].reason == str(len(first.samples[0].values))


def test_a_failure_by_little_is_looked_at_again() -> None:
    """Beyond the tolerance and four standard errors it fails, and stays open; beyond six it is final. Exact ones are."""
    assert Finding(1, "q", 1.0, 1.4, 0.1).open
    assert not Finding(1, "q", 1.0, 1.7, 0.1).open
    assert not Finding(1, "q", 1.0, 1.7, 0.0).open
    assert Finding(1, "q", 1.0, 1.35, 0.2).open
    assert not Finding(1, "q", 1.0, 1.35, 0.2, outside="it takes b > 1").open

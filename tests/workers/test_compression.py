"""Test compressed gradients: sums, variances in closed form, error feedback, and what a run tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.workers.cases import problem_of
from tests.workers.together import together
from vpinn.errors import InputError
from vpinn.workers import ALONE, Compressor, Group, compensating_batch, compressor_of

BLOCKS = ((0, 16, 2), (48, 16, 16), (320, 1, 16))
"""Weight matrices of a network with layers 2, 16, 16, 1; each is followed by its biases."""
SIZE = 337
COUNT = 60
"""Messages over which variances are averaged, and after which the sums of what was sent are compared."""
NAMES = ("half", "low-rank", "sparse", "rounded")


def made(name: str) -> Compressor:
    found = compressor_of(name, 0.25, BLOCKS)
    assert found is not None
    return found


def parts(workers: int) -> list[Tensor]:
    """Return a part of a gradient for every worker, with entries of many sizes."""
    draw = np.random.default_rng(1)
    return [torch.from_numpy(draw.standard_normal(SIZE) * np.exp(draw.standard_normal(SIZE))) for _ in range(workers)]


def messages(group: Group) -> dict[str, Any]:
    """Return what messages of every compressor give to this worker."""
    own, found = parts(group.size)[group.rank], {}
    for name in NAMES:
        compressor = made(name)
        kept = compressor.initial(own)
        total, after = compressor.exchanged(group, own, kept, 7)
        (left,) = group.sum(after["left"])
        squares, expected = 0.0, 0.0
        for key in range(COUNT):
            other = own * torch.from_numpy(np.random.default_rng((key, group.rank)).uniform(0.5, 1.5, SIZE))
            _, again = compressor.exchanged(group, other, kept, key)
            (error,) = group.sum(again["left"])
            squares, expected = squares + float(error @ error), expected + compressor.added(group, other)
        sums, kept = torch.zeros_like(own), compressor.initial(own)
        for key in range(COUNT):
            one, kept = compressor.exchanged(group, own, kept, key)
            sums += one
        (rest,) = group.sum(kept["left"])
        found[name] = (total, left, expected, squares, sums / COUNT, rest / COUNT)
    return found


@pytest.mark.slow
def test_two_workers_get_the_sum_less_what_they_keep(tmp_path: Path) -> None:
    first, second = together(2, tmp_path, messages)
    exact = sum(parts(2))
    for name in NAMES:
        total, left, predicted, measured, mean, rest = first[name]
        assert torch.equal(total, second[name][0])
        tolerance = 1e-3 if name == "half" else 1e-12  # the sum itself is rounded in half precision
        torch.testing.assert_close(total + left, exact, rtol=0, atol=tolerance * float(exact.abs().max()))
        torch.testing.assert_close(mean + rest, exact, rtol=0, atol=tolerance * float(exact.abs().max()))
        if name == "low-rank":
            assert measured >= predicted
        else:
            assert measured == pytest.approx(predicted, rel=0.1)
        assert float((mean - exact).norm()) < 0.2 * float(exact.norm())


def test_messages_are_shorter() -> None:
    theta = torch.zeros(SIZE, dtype=torch.float64)
    assert {name: made(name).size(theta) for name in NAMES} == {"half": 682, "low-rank": 1160, "sparse": 672, "rounded": 345}


def test_one_worker_sends_what_it_keeps_not() -> None:
    (own,) = parts(1)
    for name in NAMES:
        total, kept = made(name).exchanged(ALONE, own, made(name).initial(own), 3)
        torch.testing.assert_close(total + kept["left"], own, rtol=0, atol=1e-12)


def test_the_batch_that_makes_up_for_added_variance() -> None:
    assert compensating_batch(2.0, 100.0, 0.5) == pytest.approx(100.0 / 0.75)
    assert compensating_batch(2.0, 100.0, 2.0) == float("inf")


def test_methods_that_noise_would_mislead_refuse_it() -> None:
    from vpinn.solving import prepare

    with pytest.raises(InputError, match=r'parallel.compress = "half" is for adam and sgd.*got solver.method = "lbfgs"'):
        prepare(problem_of(("energy", "lbfgs", {"parallel": {"compress": "half"}})))
    with pytest.raises(InputError, match="keep is the share of entries"):
        problem_of(("energy", "adam", {"parallel": {"compress": "half", "keep": 0.5}}))

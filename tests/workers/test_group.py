"""Test the operations of a group of workers, and that several workers find what one finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.workers.cases import STATED, Case, alone, fitted, solved_alone, solved_by_features, trained
from tests.workers.together import together
from vpinn.errors import InputError, StorageError, WorkerError
from vpinn.workers import ALONE, Group, stacked_triangle

FEW: list[Case] = [
    ("weak", "adam", {"solver": {"steps": 100}, "batch": {"size": 60}}),
    ("weak", "sgd", {"solver": {"steps": 5}, "batch": {"size": 40, "sampler": "uniform", "estimator": "u-statistic"}}),
    ("strong", "gauss-newton", {"solver": {"steps": 5}}),
    ("strong", "spring", {"solver": {"steps": 10}, "batch": {"size": 60}}),
    ("energy", "evolution", {"solver": {"steps": 4}, "batch": {"size": 60}}),
    ("many dimensions", "adam", {"solver": {"method": "adam", "steps": 5}, "batch": {"size": 24, "directions": "auto"}}),
]
"""Cases of every way to share work: batches of points, pairs of points, rows, gathered rows, candidates, drawn derivatives."""
METHODS = ("adam", "sgd", "lbfgs", "broyden", "gauss-newton", "langevin", "evolution")
DRAWN = ("adam", "sgd", "gauss-newton", "langevin", "evolution")
"""Those that take mini-batches, too."""
ALL: list[Case] = [
    *((name, method, {"solver": {"steps": 100}}) for name in STATED for method in METHODS),
    *((name, method, {"solver": {"steps": 100}, "batch": {"size": 60}}) for name in STATED for method in DRAWN),
    ("weak", "spring", {"solver": {"steps": 100}, "batch": {"size": 60, "estimator": "plain"}}),
    ("strong", "spring", {"solver": {"steps": 100}, "batch": {"size": 60}}),
    ("weak", "adam", {"solver": {"steps": 100}, "batch": {"size": 60, "sampler": "stratified", "allocation": "neyman"}}),
    ("strong", "adam", {"solver": {"steps": 100, "warmup": "auto", "clip": "auto"}, "batch": {"size": "auto"}}),
    ("weak", "adam", {"solver": {"steps": 100}, "batch": {"size": 40, "sampler": "uniform", "estimator": "u-statistic"}}),
    ("weak", "adam", {"solver": {"steps": 100, "project": 20}, "batch": {"size": 60, "estimator": "control-variate"}}),
    ("energy", "adam", {"solver": {"steps": 100}, "batch": {"size": 60}, "quadrature": {"rule": "monte-carlo"}}),
]


def operations(group: Group) -> dict[str, Any]:
    """Return what the operations of a group give to this worker."""
    one = torch.full((3,), group.rank + 1.0, dtype=torch.float64)
    rows = torch.arange(2.0 + group.rank)[:, None]
    found: dict[str, Any] = {
        "sum": [s.tolist() for s in group.sum(one, 2.0 * one[:1])],
    }
    found["largest"] = group.largest([group.rank, 1])
    found["joined"] = group.joined(rows)[:, 0].tolist()
    found["counts"] = group.counts(group.rank + 5)
    found["first"] = group.by_first(lambda: f"by {group.rank}")
    matrix = torch.linspace(-1, 2, 60, dtype=torch.float64).sin().view(12, 5)
    found["triangle"] = stacked_triangle(group, torch.linalg.qr(matrix[group.share(12)], mode="r")[1])

    def fails() -> None:
        if group.rank == group.size - 1:
            raise StorageError("no such file")

    failing = {"together": lambda: group.together(fails), "equal": lambda: group.check_equal(group.rank, "another")}
    for name, work in failing.items():
        try:
            work()
        except (InputError, WorkerError) as error:
            found[name] = (str(error), error.exit_code)
    return found


def both(group: Group, cases: list[Case]) -> tuple[Any, Any, Any]:
    return operations(group), trained(group, cases), fitted(group)


def test_shares_follow_each_other_and_cover_all() -> None:
    for size, count, unit in ((3, 10, 1), (4, 40, 9), (5, 2, 1), (2, 7, 3)):
        shares = [Group(rank, size).share(count, unit) for rank in range(size)]
        assert [k for share in shares for k in range(count)[share]] == list(range(count))
        assert all(share.start % unit == 0 for share in shares if share.start < count)


def test_one_worker_alone_does_all() -> None:
    tensor = torch.ones(3)
    assert ALONE.sum(tensor)[0] is tensor
    assert ALONE.joined(tensor) is tensor
    assert ALONE.share(5) == slice(0, 5)
    assert ALONE.by_first(lambda: 7) == ALONE.together(lambda: 7) == 7


def test_two_workers_find_what_one_finds(tmp_path: Path) -> None:
    """All in one group, since processes take seconds to start."""
    expected, alike = alone(FEW), fitted(ALONE)  # before others are forked, which then have imported what they need
    (first, steps, fits), (second, others, more) = together(2, tmp_path, both, FEW)
    assert first["sum"] == second["sum"] == [[3.0] * 3, [6.0]]
    assert first["largest"] == [1.0, 1.0]
    assert second["joined"] == [0.0, 1.0, 0.0, 1.0, 2.0]
    assert first["counts"] == [5, 6]
    assert second["first"] == "by 0"
    assert first["together"] == second["together"] == ("worker 1: no such file", StorageError.exit_code)
    assert first["equal"] == second["equal"] == ("worker 1 of 2 has another", InputError.exit_code)
    matrix = torch.linspace(-1, 2, 60, dtype=torch.float64).sin().view(12, 5)
    triangle = first["triangle"]
    assert torch.equal(triangle, second["triangle"])
    torch.testing.assert_close(triangle.T @ triangle, matrix.T @ matrix, rtol=0, atol=1e-13)
    assert_same(FEW, expected, [steps, others])
    for found, same, field in zip(fits, more, alike, strict=True):
        assert np.array_equal(found, same)
        np.testing.assert_allclose(found, field, rtol=0, atol=1e-10 * np.abs(field).max())


def assert_same(cases: list[Case], expected: list[Any], found: list[Any]) -> None:
    """Assert that every worker ends with the same parameters, and these are those of one worker alone to 1e-10."""
    for k, (case, (theta, least)) in enumerate(zip(cases, expected, strict=True)):
        for worker in found:
            assert np.array_equal(worker[k][0], found[0][k][0]), case
        np.testing.assert_allclose(found[0][k][0], theta, rtol=0, atol=1e-10, err_msg=str(case))
        assert found[0][k][1] == pytest.approx(least, rel=1e-10), case


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_every_method_ends_with_the_parameters_of_one_worker(workers: int, tmp_path: Path) -> None:
    assert_same(ALL, alone(ALL), together(workers, tmp_path, trained, ALL, seconds=3600.0))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_least_squares_has_the_solution_of_one_worker(workers: int, tmp_path: Path) -> None:
    for found in together(workers, tmp_path, solved_by_features):
        for field, expected in zip(found, solved_alone(), strict=True):
            np.testing.assert_allclose(field, expected, rtol=0, atol=1e-10 * np.abs(expected).max())

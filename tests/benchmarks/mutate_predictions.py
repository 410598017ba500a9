"""Multiply every prediction of the noise report by 3 and by 1/3, and see which fast test fails.

Closed forms are functions of `vpinn.noise`; their results are multiplied, and the tests of their module are run, then those of
the report. Predictions in a report's findings are multiplied in a finished report, on which its tests are run.

    python tests/benchmarks/mutate_predictions.py
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vpinn.noise import bias, rates, steady, variance

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))
FACTORS = (3.0, 1.0 / 3.0)
HELPERS = {"root"}
"""Functions that predict nothing."""


class Failures:
    """Names of the tests that failed in a run of pytest."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed:
            self.names.append(report.nodeid.split("/")[-1])


def killer(files: list[str]) -> str | None:
    """Return the first test that fails in some files; None if none does."""
    seen = Failures()
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*(str(TESTS / "noise" / f) for f in files), "-x", "-q", "-n", "0", "-p", "no:cacheprovider"], plugins=[seen])
    return seen.names[0] if seen.names else None


def multiplied(function: Callable[..., Any], factor: float, part: int | None) -> Callable[..., Any]:
    """Return a function whose value, or one part of it, is a factor larger."""

    def changed(*args: Any, **named: Any) -> Any:
        value = function(*args, **named)
        if part is None:
            return factor * value
        return tuple(factor * v if k == part else v for k, v in enumerate(value))

    return changed


def closed_forms() -> Iterator[tuple[ModuleType, str, Callable[..., Any], int | None]]:
    """Yield every prediction: module, name, function, and part of its value."""
    for module in (variance, bias, rates, steady):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and name not in HELPERS:
                parts = range(3) if "tuple" in str(inspect.signature(function).return_annotation) else [None]
                yield from ((module, name, function, part) for part in parts)


def row(prediction: str, killed: list[str | None]) -> bool:
    """Print a line of the table; return whether every mutant was killed."""
    print(f"| {prediction} | {' · '.join(name or '**none**' for name in dict.fromkeys(killed))} |", flush=True)
    return None not in killed


def main() -> int:
    """Print the table of mutants, and return how many predictions survived."""
    survived = 0
    print("| prediction | killed by |\n|---|---|")
    for module, name, function, part in closed_forms():
        killed = []
        for factor in FACTORS:
            setattr(module, name, multiplied(function, factor, part))
            stem = module.__name__.split(".")[-1]
            killed.append(killer([f"test_{stem}.py"]) or killer(["test_report.py", "test_measurements.py"]))
            setattr(module, name, function)
        survived += not row(f"{stem}.{name}{'' if part is None else f'[{part}]'}", killed)
    from noise import test_report as tests

    report = next(inspect.unwrap(tests.report)(type("Request", (), {"param": "energy"})))
    name = tests.test_every_prediction_would_be_refuted_if_it_were_three_times_as_large_or_small.__name__
    for k, finding in enumerate(report.findings):
        killed = []
        for factor in FACTORS if finding.predicted == finding.predicted and finding.measured == finding.measured else ():
            changed = [*report.findings]
            changed[k] = dataclasses.replace(finding, predicted=factor * finding.predicted)
            try:
                getattr(tests, name)(dataclasses.replace(report, findings=tuple(changed)))
                killed.append(None)
            except AssertionError:
                killed.append(f"test_report.py::{name}")
        if killed:
            survived += not row(f"{finding.item}: {finding.quantity.replace('|', '∣')}", killed)
    print(f"\n{survived} predictions survived", flush=True)
    return survived


if __name__ == "__main__":
    sys.exit(min(main(), 1))

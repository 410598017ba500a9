"""Test problems in time: the examples of the guide run, and published references agree if they are available."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import vpinn
from vpinn.cli import main

FOLDER = Path(__file__).parents[1] / "problems"
SHARED = Path(__file__).parents[2] / "shared" / "references"
GUIDE = (FOLDER / "README.md").read_text().split("## Time", 1)[1].split("\n## ", 1)[0]
EXAMPLES = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guide_has_examples() -> None:
    assert len(EXAMPLES) == 5


LONG = ("vortex", "over space and time")
"""Parts of the titles of examples that are slow tests."""


@pytest.mark.parametrize(
    "text",
    [pytest.param(text, marks=pytest.mark.slow) if any(part in text for part in LONG) else text for text in EXAMPLES],
    ids=lambda text: re.findall(r'title = "(.*?)"', text)[0],
)
def test_an_example_of_the_guide_runs(text: str, tmp_path: Path) -> None:
    file = tmp_path / "example.toml"
    file.write_text(text)
    solution = vpinn.solve(vpinn.read_problem(file, ["solver.tolerance=1e-3"]), threads=1)
    assert solution.metrics["checks"] == []
    assert solution.error_estimate["relative_energy"] <= 1e-3


def test_the_string_of_the_guide_is_the_damped_mode(tmp_path: Path) -> None:
    """The field is e^(−0.15 t) sin(ωt)/ω sin(πx) with ω² = π² − 0.15²."""
    file = tmp_path / "example.toml"
    file.write_text(EXAMPLES[1])
    solution = vpinn.solve(vpinn.read_problem(file, ["solver.tolerance=1e-4"]), threads=1)
    t, omega = np.linspace(0, 2, 9), np.sqrt(np.pi**2 - 0.15**2)
    found = solution.evaluate(np.column_stack([np.full(9, 0.3), t]))["u"]
    np.testing.assert_allclose(found, np.exp(-0.15 * t) * np.sin(omega * t) / omega * np.sin(0.3 * np.pi), atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the reference of others is not at hand")
def test_burgers_agrees_with_the_reference_of_others() -> None:
    """Values at 256 points and 100 instants, good to about 1e-4 where the layer is steep."""
    kept = np.load(SHARED / "deepxde_burgers.npz")
    solution = vpinn.solve(vpinn.read_problem(FOLDER / "burgers.toml"), threads=1)
    t, x = kept["t"].ravel(), kept["x"].ravel()
    grid = np.stack(np.meshgrid(x, t, indexing="ij"), axis=-1).reshape(-1, 2)
    found = solution.evaluate(grid)["u"].reshape(len(x), len(t))
    assert np.linalg.norm(found - kept["usol"]) / np.linalg.norm(kept["usol"]) < 1e-3


def test_check_tells_algebraic_unknowns_periodic_sides_and_elements(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(FOLDER / "kdv.toml")]) == 0
    told = capsys.readouterr().out
    parts = ("u (scalar, first order in time)", "w (scalar, no time derivative)", "left and right: periodic", "finite elements")
    for part in parts:
        assert part in told

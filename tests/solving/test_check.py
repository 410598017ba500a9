"""What ``vpinn check`` shows costs no solve: no distances and lifts on a mesh, no start of training."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from membrane import membrane

import vpinn
from vpinn.cli import main
from vpinn.features import LeastSquares
from vpinn.solving.elements import make_rival

DOMAINS = ('shape = "l-shape"\ncells = 2', 'shape = "disk"\ncells = 2', 'shape = "rectangle"\ncells = 2')


@pytest.mark.parametrize("method", ["auto", "adam", "lbfgs", "gauss-newton", "elements"])
@pytest.mark.parametrize("domain", DOMAINS, ids=lambda text: text.split('"')[1])
@pytest.mark.parametrize("value", ["0", "x*y"])
def test_nothing_is_solved(
    method: str, domain: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for work in ("vpinn.trial.field._solve", "vpinn.solving.beside.make_start", "vpinn.finite_elements.solve.solve_fem"):
        monkeypatch.setattr(work, lambda *_, **__: pytest.fail("it solves"))
    (tmp_path / "a.toml").write_text(membrane(domain, f'"{value}"', solver=f'method = "{method}"'))
    assert main(["check", str(tmp_path / "a.toml")]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "points" in said
    assert "memory" in said


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["ball", "hypercube"])
def test_many_dimensions_take_no_minutes(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sum or product over all coordinates is a tree of few levels; no expression is differentiated for each component."""
    (tmp_path / "a.toml").write_text(
        f"[domain]\nshape = '{shape}'\ndimension = 300\n[unknowns]\nu = 'scalar'\n[form]\nstrong = '-div(grad(u)) - 1'\n"
        "[[boundary]]\non = 'all'\nvalue = 0\n[solver]\nmethod = 'adam'\n"
    )
    began = time.process_time()
    assert main(["check", str(tmp_path / "a.toml")]) == 0, capsys.readouterr().err
    assert time.process_time() - began < 10.0
    assert ("product of distances" in capsys.readouterr().out) == (shape == "hypercube")


INITIAL = "\n[[boundary]]\non = 'initial'\nvalue = 'x'"
NUMBERS = {
    "flux over space and time": ("time = [0, 1]", "dt(u)*v*dx + inner(grad(x), grad(v))*dx", f"{INITIAL}\n[batch]\nsize = 8"),
    "enrich": ("", "inner(grad(u), grad(v))*dx - v*dx", "\n[network]\nenrich = ['2', 'x*(1 - x)']"),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_derivatives_of_numbers_are_zero(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """UFL knows no domain of a number, and cannot differentiate it."""
    domain, form, more = NUMBERS[case]
    (tmp_path / "a.toml").write_text(
        f"[domain]\nshape = 'interval'\ncells = 2\n{domain}\n[unknowns]\nu = 'scalar'\n[form]\nweak = '{form}'\n"
        f"[[boundary]]\non = 'all'\nvalue = 'x'{more}\n[solver]\nmethod = 'adam'\n"
    )
    assert main(["check", str(tmp_path / "a.toml")]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("dimension", [4, 5])
def test_a_domain_that_has_no_elements(dimension: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        "[domain]\nshape = 'hypercube'",
        f"lower = {[0] * dimension}\nupper = {[1] * dimension}",
        "[unknowns]\nu = 'scalar'\n[form]\nstrong = '-div(grad(u)) - 1'\n[[boundary]]\non = 'all'\nvalue = 0",
    ]
    (tmp_path / "a.toml").write_text("\n".join(lines))
    assert main(["check", str(tmp_path / "a.toml")]) == 0, capsys.readouterr().err
    assert "least-squares" in capsys.readouterr().out
    assert make_rival(vpinn.read_problem(tmp_path / "a.toml"), LeastSquares()) is None

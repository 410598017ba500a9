"""Test that numbers that are not real or not finite lead to an error of one line wherever an expression is evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpinn.cli import main
from vpinn.errors import InputError
from vpinn.problem import read_problem
from vpinn.problem.build import build_problem
from vpinn.problem.places import key_lines
from vpinn.problem.source import Source, parse
from vpinn.problem.validation import validate

TEXT = """
[domain]
shape = "rectangle"
cells = 2
[unknowns]
u = "scalar"
[constants]
k = -1
zero = 0
[expressions]
a = "{expression}"
[form]
energy = "0.5*(1 + {coefficient})*inner(grad(u), grad(u))*dx - {source}*u*dx"
[[boundary]]
on = "all"
value = "{boundary}"
[network]
layers = [4]
enrich = ["{enrich}"]
[solver]
method = "{method}"
steps = 2
[reference]
exact = {{ u = "{exact}" }}
"""
PLACES = {"expression": 11, "coefficient": 13, "source": 13, "boundary": 16, "enrich": 19, "exact": 24}
POWERS = ("(-1)**x", "k**x", "zero**x", "(k - 1)**(x + y)", "0**sin(x)", "(-0.5)**(x*y)")
"""What has no real derivative: told at its line, when the file is read."""
NUMBERS = ("ln(x - 2)", "sqrt(x - 1.5)", "exp(1000*(x + 1))", "asin(x + 2)", "1/(0*x)", "ln(0*x)", "(0*x - 1)**0.5")
"""What is not real or finite at points."""


def written(folder: Path, place: str, expression: str, method: str = "adam") -> Path:
    path = folder / "problem.toml"
    values = {name: "1" if name != "enrich" else "x" for name in PLACES} | {place: expression}
    path.write_text(TEXT.format(method=method, **values))
    return path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("expression", POWERS)
def test_powers_that_are_not_real_are_told_at_their_line(place: str, expression: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a power of a number ≤ 0 is real for whole exponents only") as caught:
        read_problem(written(tmp_path, place, expression))
    assert caught.value.where.endswith(f"problem.toml:{PLACES[place]}")


@pytest.mark.parametrize("expression", ["(-2)**2", "(-2)**(-1)", "zero**2", "k**3"])
def test_powers_that_are_real_stay(expression: str, tmp_path: Path) -> None:
    read_problem(written(tmp_path, "source", expression))


@pytest.mark.parametrize("method", ["adam", "least-squares"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("expression", NUMBERS)
def test_numbers_that_are_none_end_in_one_line(
    method: str, place: str, expression: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["check", str(written(tmp_path, place, expression, method))])
    said = capsys.readouterr().err
    assert code in (0, 2)
    assert "bug:" not in said
    assert said.count("\n") == (code == 2)


@pytest.mark.parametrize(("equation", "allowed"), [("-div(grad(u)) - 1", True), ("div(grad(" * 3 + "u" + "))" * 3, False)])
def test_derivatives_that_would_take_minutes_are_refused_at_their_line(equation: str, allowed: bool) -> None:
    """The L-shape's twelve functions have two derivatives at once, six would be more than 100,000 terms."""
    name = "l_shape_enriched.toml"
    text = (Path(__file__).parents[2] / "problems" / name).read_text()
    data = parse(text.replace("-div(grad(u)) - 1", equation), name)
    source = Source(Path(name), text, data, key_lines(text))
    if allowed:
        assert len(build_problem(source, validate(source), Path()).enrich) == 12
        return
    with pytest.raises(InputError, match="too large for derivatives of order 6, which the form has") as caught:
        build_problem(source, validate(source), Path())
    assert caught.value.where == f"{name}:{text[: text.index('enrich =')].count(chr(10)) + 1}"

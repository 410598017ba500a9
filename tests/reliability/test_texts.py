"""Test that titles, names and tags are treated as text, and not as terminal codes, formulas or markup."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from rich.console import Console

from vpinn.cli import main
from vpinn.cli.display import print_table, say
from vpinn.comparison.runs import Moment
from vpinn.domain import make_mesh
from vpinn.noise import NoiseReport
from vpinn.output import RunsProgress, as_table, draw, export, solution_rows, write_report
from vpinn.output.figures import png
from vpinn.output.noise import noise_table
from vpinn.output.style import LONGEST, figure, literal
from vpinn.problem import make_problem
from vpinn.solution import Solution
from vpinn.solving import solve
from vpinn.text import escaped

ATTACKS = (
    "$x$", "$\\frac{1}{", "$$", "\\$x\\$", "$\\input{/etc/passwd}$", "a $ b", "50 $ or $60", "\\", "\\n", "x\\", "_{^", "%", "#",
    "two\nlines", "tab\tstop", "return\rover", "nul\x00", "bell\x07", "back\x08", "\x1b[31mred", "\x1b]0;title\x07", "\x1b[2J",
    "\x9b31m", "\x1bP1$r\x1b\\", "\x7f", "\x85", "\u2028", "\u2029", "\u202egpj.exe", "\u2066left\u2069", "\u200b", "\ufeff",
    "\ud800", "\udfff x", "\U000e0041", "\ufffe", "<b>", "</title><script>alert(1)</script>", "\"onload='x'", "&amp;", "&#0;",
    "<![CDATA[", "]]>", "--><!--", "[bold]", "[/bold]", "[link=x]", "[red", "{title}", "{0}", "%s", "%(x)s", "A" * 1000, "é" * 50,
    "\U0001f600", "漢字", "עברית", "x" * 130 + "$",
)  # fmt: skip
"""Texts that were, or could be, taken for something else."""
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufffe\U000e0000-\U000e007f]"
)


@pytest.fixture(scope="module")
def solution() -> Solution:
    """Return a solution on two triangles with tagged cells."""
    nodes = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    mesh = make_mesh(nodes, np.array([[0, 1, 2], [0, 2, 3]]), "triangle", cell_tags={"tag": np.array([0])})
    problem = make_problem(
        mesh,
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [4]},
        solver={"method": "adam", "steps": 2},
    )
    return solve(problem, threads=1)


def called(solution: Solution, text: str) -> Solution:
    """Return the solution with a text as title and as tag."""
    problem = solution.problem
    domain = dataclasses.replace(problem.domain, cell_tags={text: np.array([0])})  # type: ignore[type-var]
    metrics = {**solution.metrics, "checks": [f"check of {text}"]}
    return dataclasses.replace(solution, problem=dataclasses.replace(problem, title=text, domain=domain), metrics=metrics)


@pytest.mark.parametrize("text", ATTACKS)
def test_what_is_shown_is_plain(text: str) -> None:
    shown = escaped(text)
    assert not FORBIDDEN.search(shown)
    assert "\n" not in shown
    shown.encode()
    assert escaped(shown) == shown
    assert shown == text or not text.isprintable()
    label = literal(text)
    assert not is_math_text(label)
    assert len(label.replace(r"\$", "$")) <= LONGEST


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_gets_no_codes(
    text: str, terminal: bool, solution: Solution, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    Console(file=out, highlight=False, color_system=None, force_terminal=terminal, width=5000).print(
        as_table(solution_rows(called(solution, text)), {"field": text})
    )
    Console(file=out, highlight=False, color_system=None, width=5000).print(noise_table(NoiseReport(text, (), {}, (), {})))
    with RunsProgress(Console(file=out, color_system=None, width=5000)) as progress:
        moment = Moment(0, 1, text, 0, 0.0, None, 0.0)
        progress(moment.done, moment.total, moment.label, moment.seconds, moment.budget, moment.error)
    assert not FORBIDDEN.search(out.getvalue())
    assert out.getvalue().count(escaped(text).rstrip()) >= 3
    print_table(as_table([("problem", text)]))
    say(text)
    assert not FORBIDDEN.search(capsys.readouterr().out)


@pytest.mark.parametrize("text", ATTACKS)
def test_a_figure_shows_the_text(text: str) -> None:
    shown = figure(4.0, 1.0, text)
    shown.text(0.1, 0.1, literal(text))
    assert png(shown)
    title = shown.get_suptitle()
    assert title == literal(text)


@pytest.mark.parametrize("text", ["\x1b[31m $\\frac{ \u202e\ud800 </title><script> [/x]", "\x00\n]]>" * 300])
def test_all_that_a_run_writes(text: str, solution: Solution, tmp_path: Path) -> None:
    named = called(solution, text)
    draw(named, tmp_path / "figures")
    page = write_report(named, tmp_path).read_text()
    assert not FORBIDDEN.search(page)
    assert "</title><script>" not in page
    for name in ("field.vtu", "field.xdmf"):
        root = ElementTree.parse(export(named, tmp_path / name)).getroot()
        assert any(escaped(text) in node.get("Name", "") for node in root.iter())


def test_an_error_cannot_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("\x1b[2J.toml", "\udcff.toml", "a\u202eb.toml"):
        assert main(["check", str(tmp_path / name)]) == 2
        assert main(["check", name, f"--set={name}=1"]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 2
        assert not FORBIDDEN.search(said)


def test_a_stream_without_our_characters_gets_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    assert main(["solve", "--help"]) == 0
    say("L² ≤ 1")
    stream.flush()
    assert b"L\\xb2 \\u2264 1" in stream.buffer.getvalue()  # type: ignore[attr-defined]

"""Test that every text becomes UFL or an InputError, without side effects."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import ufl
from ufl.classes import Expr

from vpinn.errors import InputError
from vpinn.problem import Scope, parse_expression, parse_form

from .attacks import ATTACKS, CALLS, DISGUISED, NODES

_events: list[str] | None = None
_FORBIDDEN = (
    "import",
    "open",
    "exec",
    "os.",
    "subprocess.",
    "socket.",
    "shutil.",
    "ctypes.",
    "pty.",
    "marshal.",
    "pickle.",
    "builtins.input",
)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _events is not None and event.startswith(_FORBIDDEN):
        _events.append(event)


@contextmanager
def audited() -> Iterator[list[str]]:
    """Record the side effects that Python's audit hooks report while the block runs."""
    global _events
    if not getattr(sys, "_vpinn_hooked", False):
        sys.addaudithook(_hook)
        sys._vpinn_hooked = True  # type: ignore[attr-defined]
    _events = recorded = []
    try:
        yield recorded
    finally:
        _events = None


def outcome(text: str, scope: Scope) -> str:
    """Translate a text as expression and as form; return "accepted" or "refused". Other exceptions than InputError pass."""
    result = "refused"
    for parse, kind in ((parse_expression, Expr), (parse_form, ufl.Form)):
        try:
            assert isinstance(parse(text, scope), kind)
        except InputError as error:
            if not str(error).isprintable() or len(str(error)) > 700:
                raise AssertionError(f"not one printable line: {error!r}") from error
        else:
            result = "accepted"
    return result


def test_the_hook_sees_a_side_effect() -> None:
    with audited() as events, open("/dev/null"):
        pass
    assert events == ["open"]


def test_there_are_enough() -> None:
    assert len(set(ATTACKS)) >= 300


@pytest.mark.parametrize("number", range(len(ATTACKS)))
def test_attack(number: int, scope: Scope) -> None:
    outcome("x", scope)
    start = time.process_time()
    with audited() as events:
        result = outcome(ATTACKS[number], scope)
    assert time.process_time() - start < 2
    assert not events
    if ATTACKS[number] in CALLS + NODES + DISGUISED:
        assert result == "refused" or ATTACKS[number] in ("x\\",)


SEEDS = [
    "0.5*kappa*inner(grad(u), grad(u))*dx - u*sin(pi*x)*ds('left')",
    "inner(grad(u), grad(v))*dx + inner(sym(grad(w)), grad(q))*dx('steel')",
    "conditional(0 < x < 1 and not y > 0.5, [x, y], as_vector((1, u)))[0]",
    "-div(kappa*grad(sin(pi*x[0])*exp(-y**2))) + Dx(u, 0, 1)/(1 + u**2)",
    "det(Identity(2) + grad(w)) + tr(transpose([[x, 1.5e-3], [u, y]]))**2.5",
]  # fmt: skip
TOKENS = [
    "(", ")", "[", "]", ",", "+", "-", "*", "/", "**", "<", "==", " and ", " not ", "x", "u", "w", "v", "q", "n", "h", "0",
    "1", "2", "0.0", "1e308", "9", "grad(", "div(", "sin(", "inner(", "outer(", "det(", "inv(", "Dx(", "dx", "ds('left')",
    "'", '"', ".", ":", "\n", "#", "\\", "\x00", "é", "lambda ", "conditional(", "Identity(", "sqrt(", "ln(", "if ", "else ",
    "@", "%", "{", "}", "=", "__", "kappa", "pi", "as_vector(", "transpose(", "curl(", "cross(",
]  # fmt: skip


def mutant(generator: random.Random) -> str:
    """Return a text that differs from valid expressions by a few edits of characters or tokens."""
    text = generator.choice(SEEDS)
    parts = re.findall(r"\w+\(?|\*\*|.", text) if generator.random() < 0.7 else list(text)
    for _ in range(generator.randint(1, 3)):
        start = generator.randrange(len(parts))
        match generator.randrange(4):
            case 0:
                parts[start] = generator.choice(TOKENS)
            case 1:
                parts.insert(start, generator.choice(TOKENS))
            case 2:
                parts[start] = generator.choice(parts)
            case _:
                other = generator.randrange(len(parts))
                parts[start], parts[other] = parts[other], parts[start]
    return "".join(parts)


@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_mutants(count: int, scope: Scope) -> None:
    generator = random.Random(0)
    outcome("x", scope)
    accepted = 0
    for _ in range(count):
        text = mutant(generator)
        start = time.process_time()
        with audited() as events:
            accepted += outcome(text, scope) == "accepted"
        assert not events, text
        assert time.process_time() - start < 2, text
    assert 0.02 * count < accepted < 0.9 * count

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import ufl

from vpinn.problem import Scope, make_scope, make_symbols


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow", default=False):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow"))


def scope_of(dimension: int) -> Scope:
    """Return a scope with a constant, unknowns u and w (a vector) with tests v and q, boundary parts and a group of cells."""
    symbols = make_symbols(dimension)
    scope = make_scope(symbols, ("left", "right"), ("steel",)).define("kappa", ufl.as_ufl(2.5))
    scope = scope.define("u", symbols.coefficient()).define("v", symbols.test_function())
    return scope.define("w", symbols.coefficient((dimension,))).define("q", symbols.test_function((dimension,), 1))


@pytest.fixture(scope="session")
def scope() -> Scope:
    return scope_of(2)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a text as problem.toml and return its path."""

    def write_text(text: str) -> Path:
        path = tmp_path / "problem.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_text

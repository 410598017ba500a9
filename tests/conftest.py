from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

# tests share the cores: threads that wait must not spin, and numpy's and scipy's would
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage while modules are imported, and never look at them again: they are there to the end."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before the distribution over processes looks at groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tests, keep those that share a set-up in one process, and begin with the longest of all, that of types."""
    items.sort(key=lambda item: "[mypy]" not in item.name)
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="needs --slow"))
        if group := _shared(item):
            item.add_marker(pytest.mark.xdist_group(group))


def _shared(item: pytest.Item) -> str:
    """Return what a test shares with others: the module whose fixture it uses, or a fixture of the session."""
    known = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    scopes = {name: known[name][-1].scope for name in item.fixturenames if name in known}  # type: ignore[attr-defined]
    if "module" in scopes.values():
        return item.path.stem
    return next((name for name, scope in scopes.items() if scope == "session" and name not in PLAIN), "")


PLAIN = ("one_thread", "scope", "request", "tmp_path_factory", "record_testsuite_property", "pytestconfig")
"""Fixtures of a session that cost nothing."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums are split by thread, so that bounds on rounding are stated for one."""
    import torch

    torch.set_num_threads(1)

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

# tests share the cores: threads that wait must not spin, and numpy's and scipy's would
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_unconfigure() -> None:
    """Let what was kept from collection go, so that libraries do not report it as leaked."""
    gc.unfreeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage while modules are imported, and never look at them again: they are there to the end."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tests, and begin with the longest of all, that of types; each file is one process's, with its set-ups."""
    items.sort(key=lambda item: "[mypy]" not in item.name)
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="needs --slow"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums are split by thread, so that bounds on rounding are stated for one."""
    import torch

    torch.set_num_threads(1)

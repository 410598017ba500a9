from __future__ import annotations

import os

import pytest

# tests share the cores: threads that wait must not spin, and numpy's and scipy's would
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="needs --slow"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums are split by thread, so that bounds on rounding are stated for one."""
    import torch

    torch.set_num_threads(1)

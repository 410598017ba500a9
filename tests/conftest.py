from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest

# tests share the cores: threads that wait must not spin, and numpy's and scipy's would
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_unconfigure() -> None:
    """Release objects that were kept from garbage collection, so that libraries do not report them as leaked."""
    gc.unfreeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Switch garbage collection off during imports, make it rarer afterwards, and exclude from it what was imported."""
    gc.disable()
    yield
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # graphs of forms are many small objects; collecting more rarely saves a few per cent
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tests, run the longest one, of types, first, and keep the tests of each file in one process."""
    items.sort(key=lambda item: "[mypy]" not in item.name)
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="needs --slow"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Use one thread: sums are split by thread, and bounds on rounding hold for one."""
    import torch

    torch.set_num_threads(1)


READER = """
import importlib.util, json, os, sys, warnings
import meshio, numpy
warnings.simplefilter("ignore")
spec = importlib.util.spec_from_file_location("child", sys.argv[1])
child = importlib.util.module_from_spec(spec)
spec.loader.exec_module(child)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            child.main(json.loads(line))
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Reads mesh files as the child process does, each in a fork that has the libraries loaded: they take most of its time."""


@pytest.fixture(scope="session", autouse=True)
def reader() -> Iterator[None]:
    """Read mesh files in forks of one process, which starts with the first mesh file."""
    from vpinn.domain import mesh_file

    own, child, read = os.getpid(), str(mesh_file._CHILD), mesh_file._run
    with contextlib.ExitStack() as stack:

        @cache
        def process() -> subprocess.Popen[str]:
            command, pipe = [sys.executable, "-I", "-c", READER, child], subprocess.PIPE
            return stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))

        def run(arguments: list[str]) -> int:
            if os.getpid() != own:  # in a fork, whose parent may be reading
                return read(arguments)
            stdin, stdout = process().stdin, process().stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(json.dumps(arguments) + "\n")
            stdin.flush()
            return int(stdout.readline())

        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(mesh_file, "_run", run)
        yield

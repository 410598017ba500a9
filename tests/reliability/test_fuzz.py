"""Test a few of the cases that the scripts in this folder run by the thousand: mutants of problems and meshes, killed runs.

The scripts run in a process of their own, from which they fork.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(script: str, *words: str) -> tuple[int, str]:
    """Return the exit code of a script, and what it printed."""
    done = subprocess.run([sys.executable, str(HERE / script), *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "count", "only"),
    [
        pytest.param("problems", 12, "interval", marks=pytest.mark.slow),
        pytest.param("meshes", 25, "", marks=pytest.mark.slow),
        pytest.param("problems", 2000, "", marks=pytest.mark.slow),
        pytest.param("meshes", 2000, "", marks=pytest.mark.slow),
    ],
)
def test_mutants(kind: str, count: int, only: str) -> None:
    """No traceback, no "bug:", one line each. How long they take depends on the machine, and is for the script by hand."""
    _, said = run("mutants.py", kind, "--count", str(count), "--only", only)
    told = re.search(r"(\d+) mutants: codes (\{.*?\}) \(\d+ different accepted\), faults (\{.*?\})", said)
    assert told is not None, said
    assert set(re.findall(r"'(.*?)'", told[3])) <= {"slow"}, said
    assert int(told[1]) == count
    assert set(re.findall(r"(\d+):", told[2])) == {"0", "2"}  # some are sound still, others are refused


@pytest.mark.parametrize(
    ("method", "kills"),
    [pytest.param(*case, marks=pytest.mark.slow) for case in (("gauss-newton", 1), ("compare", 1), ("noise", 4), ("", 60))],
)
def test_kills(method: str, kills: int) -> None:
    code, said = run("kills.py", "--kills", str(kills), "--only", method, *(["--no-figures"] if kills == 1 else []))
    assert code == 0, said
    assert f"{kills} kills in " in said


@pytest.mark.slow
def test_what_the_scripts_look_for_is_found(tmp_path: Path) -> None:
    """A traceback, a bug and a run that differs are told apart from what is right."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import mutants\n"
        "def bug(): raise ZeroDivisionError\n"
        "def told(): print('bug: x', file=sys.stderr); return 1\n"
        "def two(): print('a\\nb', file=sys.stderr); return 2\n"
        "def long():\n    while True: pass\n"
        "def large(): b = bytearray(1_100_000_000); b[::4096] = b'x'*len(b[::4096]); return 0\n"
        "def one(): print('a', file=sys.stderr); return 2\n"
        "works = (bug, told, two, long, large, one, lambda: 0, lambda: 3)\n"
        "print([outcome.fault for outcome in mutants.tried(works, 6)])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, str(HERE)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['bug', 'bug', 'not one line', 'slow', 'large', '', '', 'code 3']"

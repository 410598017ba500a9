"""Test read-only folders, full disks and a missing home folder: an error of one line, or another way."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from membrane import membrane

from vpinn.cli import main
from vpinn.storage import scratch

TEXT = membrane(network="layers = [4]", solver='method = "adam"\nsteps = 3')
NOWHERE = "/proc/none"
"""Where nobody can write, root neither."""
linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heat.toml").write_text(TEXT)
    return "heat.toml"


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "vpinn", *words]


@linux
@pytest.mark.slow
def test_without_a_home_and_with_a_pipe_for_matplotlib(file: str) -> None:
    """Nothing can be kept between runs, and a pipe called matplotlibrc in the working directory is not read."""
    os.mkfifo("matplotlibrc")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    nowhere = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR"), NOWHERE)
    done = subprocess.run(
        command("solve", file, "--threads", "1", "-q"), env={**kept, **nowhere}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("CHECK FAILED")] == []
    assert sorted(path.name for path in Path("results/heat/figures").iterdir())[0] == "convergence.png"


@linux
@pytest.mark.parametrize("command", ["solve", "compare", "noise"])
def test_a_folder_that_cannot_be_made_is_told_before_the_work(
    command: str, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for work in ("vpinn.solving.strategies.prepare", "vpinn.comparison.run_all", "vpinn.noise.measure_noise"):
        monkeypatch.setattr(work, lambda *_, **__: pytest.fail("the work has begun"))
    Path(file).write_text(TEXT + "[reference]\nexact = { u = '0' }\n")
    assert main([command, file, "-o", f"{NOWHERE}/run"]) == 4
    said = capsys.readouterr().err
    assert said.startswith(f"{NOWHERE}/run: cannot be written: ")
    assert said.count("\n") == 1


@linux
def test_a_full_disk_behind_stdout(file: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(command("schema"), stdout=full, stderr=subprocess.PIPE, text=True, timeout=600)
    assert done.returncode == 4
    assert done.stderr == "file system: No space left on device\n"


@pytest.mark.slow
def test_closed_streams(file: str) -> None:
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        words = ["sh", "-c", f'exec "$@" {closed}', "sh", *command("schema")]
        assert subprocess.run(words, stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.slow
def test_no_room_for_figures_leaves_whole_files_and_the_run_goes_on(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of over 20 kB cannot be written: the state can, pictures cannot."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        assert main(["solve", file, "-q", "--threads", "1"]) == 4
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    said = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be written: File too large; free space" in said
    assert [path.name for path in Path("results").rglob(".*")] == []
    assert main(["solve", file, "-q", "--threads", "1", "--resume"]) == 0


def test_no_temporary_folder_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    from vpinn.errors import StorageError

    with pytest.raises(StorageError, match="free space or set TMPDIR"), scratch():
        pass

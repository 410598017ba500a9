"""Test that checkpoints are exact and that damaged ones are refused. Seeds are fixed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import resource
import signal
import threading
import tokenize
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.errors import StorageError
from vpinn.interrupt import Interrupt
from vpinn.optimization import COLUMNS, Adam, Lbfgs, Method, Training, load_arrays, save_arrays
from vpinn.optimization.checkpoint import HASH, VERSION
from vpinn.storage import write_atomic

Arrays = dict[str, np.ndarray[Any, Any]]


def training_of(method: Method, dtype: torch.dtype = torch.float64) -> Training:
    generator = torch.Generator().manual_seed(1)
    theta = torch.randn(40, generator=generator).to(dtype)
    training = Training.start(theta, method, 3)
    training.state = {k: torch.rand_like(v) if v.is_floating_point() else v + 7 for k, v in training.state.items()}
    training.generator.random(17)
    for k in range(5):
        training.history.append(tuple(float(k + j) / 3 for j in range(len(COLUMNS))))
    training.step, training.seconds, training.shrink, training.rollbacks, training.idle = 5, 0.1 + 0.2, 1e-2, 2, 1
    training.best = (theta / 3, float("inf"))
    return training


def equal(a: Any, b: Any) -> bool:
    """Return whether two checkpoints agree in every array and every number, to the last bit."""
    return (
        set(a[0]) == set(b[0])
        and all(x.dtype == (y := b[0][k]).dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for k, x in a[0].items())
        and repr(a[1]) == repr(b[1])
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("method", [Adam(), Lbfgs()])
def test_round_trips_are_exact(method: Method, dtype: torch.dtype, tmp_path: Path) -> None:
    training = training_of(method, dtype)
    path = tmp_path / "a" / "checkpoint.npz"
    save_arrays(path, *training.arrays())
    arrays, meta = load_arrays(path)
    again = Training.from_arrays(arrays, meta)
    assert equal(again.arrays(), training.arrays())
    assert again.theta.dtype == dtype
    assert (again.generator.random(5) == training.generator.random(5)).all()
    assert (again.step, again.seconds, again.shrink, again.rollbacks, again.idle) == (5, 0.1 + 0.2, 1e-2, 2, 1)
    assert meta["version"] == VERSION
    assert np.isnan(again.average)
    assert list(tmp_path.glob("**/.*")) == []


def flips(data: bytes, count: int, seed: int) -> list[bytes]:
    """Return copies of the data, each with one random bit flipped."""
    places = np.random.default_rng(seed).integers(8 * len(data), size=count)
    damaged = []
    for place in places:
        copy = bytearray(data)
        copy[place // 8] ^= 1 << (place % 8)
        damaged.append(bytes(copy))
    return damaged


def test_no_flipped_bit_loads_as_other_numbers(tmp_path: Path) -> None:
    """200 of them: each is refused, or lies where the archive holds nothing that is read. A bare array is silently wrong."""
    path = tmp_path / "checkpoint.npz"
    training = training_of(Adam())
    save_arrays(path, *training.arrays())
    good = load_arrays(path)
    refused = []
    for data in flips(path.read_bytes(), 200, seed=8):
        path.write_bytes(data)
        try:
            assert equal(load_arrays(path), good)
        except StorageError as error:
            refused.append(str(error))
    assert len(refused) >= 120
    assert all("damaged" in message and "\n" not in message for message in refused)
    # the saver this one replaces
    buffer = io.BytesIO()
    theta = training.theta.numpy()
    np.save(buffer, theta)
    silent = 0
    for data in flips(buffer.getvalue(), 200, seed=8):
        with contextlib.suppress(ValueError, SyntaxError, EOFError, MemoryError, tokenize.TokenError):
            silent += not np.array_equal(np.load(io.BytesIO(data)), theta, equal_nan=True)
    assert silent >= 100


def test_content_that_was_exchanged_is_noticed(tmp_path: Path) -> None:
    """A whole archive with right checksums of its own, but not what was saved."""
    path = tmp_path / "checkpoint.npz"
    save_arrays(path, *training_of(Adam()).arrays())
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files}
    for change in (
        {"theta": np.nextafter(content["theta"], 9)},
        {"theta": content["theta"] * -1},
        {"more": np.zeros(1)},
        {"history": content["history"].T},
    ):
        np.savez(path, **{**content, **change})
        with pytest.raises(StorageError, match="hash does not match"):
            load_arrays(path)
    np.savez(path, **{name: array for name, array in content.items() if name != "theta"})
    with pytest.raises(StorageError, match="hash does not match"):
        load_arrays(path)
    np.savez(path, **{name: array for name, array in content.items() if name != HASH})
    with pytest.raises(StorageError, match="damaged"):
        load_arrays(path)


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(StorageError, match="there is no checkpoint"):
        load_arrays(path)
    save_arrays(path, *training_of(Adam()).arrays())
    data = path.read_bytes()
    for length in (0, 1, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(StorageError, match="damaged"):
            load_arrays(path)
    for other in (b"\x89PNG\r\n", b"PK\x03\x04" + bytes(100), bytes(4096)):
        path.write_bytes(other)
        with pytest.raises(StorageError) as caught:
            load_arrays(path)
        assert caught.value.exit_code == 4
    np.savez(path, a=np.array([{"code": 1}], dtype=object))
    with pytest.raises(StorageError, match="damaged"):
        load_arrays(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{HASH}.npy", b"no array")
    with pytest.raises(StorageError, match="damaged"):
        load_arrays(path)
    with pytest.raises(StorageError):
        load_arrays(tmp_path)


def test_other_versions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.npz"
    monkeypatch.setattr("vpinn.optimization.checkpoint.VERSION", VERSION + 1)
    save_arrays(path, {}, {})
    monkeypatch.undo()
    with pytest.raises(StorageError, match=f"version {VERSION + 1}, expected {VERSION}"):
        load_arrays(path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.npz"
    training = training_of(Adam())
    save_arrays(path, *training.arrays())
    before = path.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    training.step += 1
    monkeypatch.setattr(os, call, full)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        save_arrays(path, *training.arrays())
    monkeypatch.undo()
    assert caught.value.exit_code == 4
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["checkpoint.npz"]


def test_a_file_size_limit_leaves_the_old_file(tmp_path: Path) -> None:
    """A real write that fails half-way."""
    path = tmp_path / "data"
    write_atomic(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            write_atomic(path, bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["data"]


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write_atomic(tmp_path / "file" / "data", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        write_atomic(tmp_path / "folder", b"")


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "data"
    contents = [bytes([k]) * 50_000 for k in range(40)]
    write_atomic(path, contents[0])
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents:
        write_atomic(path, content)
    done.set()
    reader.join()
    assert seen <= set(contents)
    assert len(seen) > 1


def test_signals_are_remembered() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupt() as interrupt:
        assert interrupt.signal is None
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.signal == signal.SIGTERM
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.signal == signal.SIGINT


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    found: list[int | None] = []

    def work() -> None:
        with Interrupt() as interrupt:
            found.append(interrupt.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None]

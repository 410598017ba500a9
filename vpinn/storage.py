"""Files of a run: replaced as a whole, inside their folder, by one run at a time, and read without waiting for anybody."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vpinn.errors import InputError, StorageError
from vpinn.interrupt import undisturbed

LOCK = ".lock"
"""File that the run which writes into a folder has locked; the system lets go of it when the run ends, however it does."""
SCRATCH = "vpinn-"
"""How the names of temporary folders begin."""
PART = ".vpinn-part"
"""How the name of a file ends that is being written."""

_claims: dict[Path, int] = {}  # folders that this process holds, and the thread that does


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that at any moment either the old content or the new one is there.

    A signal waits for the end, so that no temporary file stays behind.

    Raises:
        StorageError: the file system refused; the old file is intact.
    """
    with undisturbed():
        _replace(path, data)


def _replace(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror or error}; free space or choose another folder with -o"
        ) from None


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; never wait, as a pipe or a device would have us do.

    Raises:
        OSError: there is none, or it is not a regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: as for ``open_regular``.
    """
    with open_regular(path) as file:
        return file.read()


TRIES = 10
"""Temporary folders that are made, at most, until one is locked before another process sweeps it away."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a temporary folder that goes at the end; those of processes that were killed go at the beginning.

    Raises:
        StorageError: the file system refused.
    """
    with contextlib.suppress(OSError):
        for old in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
            _drop(old)
    try:
        folder, handle = _claimed_scratch()
    except OSError as error:
        raise StorageError(f"no temporary file can be written: {error.strerror or error}; free space or set TMPDIR") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _claimed_scratch() -> tuple[Path, int]:
    """Return a new temporary folder with its lock; another one where a sweep took the first before it was locked.

    Raises:
        OSError: the file system refused.
    """
    for _ in range(TRIES):
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
        with contextlib.suppress(FileNotFoundError, InputError):
            return folder, _lock(folder)
    raise FileNotFoundError(errno.ENOENT, "temporary folders disappear", tempfile.gettempdir())


def _drop(folder: Path) -> None:
    """Remove a temporary folder of ours whose process is dead; a new one, which is not locked yet, stays."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or not (folder / LOCK).exists():
        return
    try:
        handle = _lock(folder)
    except InputError:  # its process lives
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.close(handle)


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file to be written below a folder.

    Raises:
        InputError: it lies elsewhere once links are followed.
    """
    path = folder / name
    try:
        if path.parent.resolve().is_relative_to(folder.resolve()):
            return path
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"{path} is not a path") from None
    raise InputError(f"{path} lies outside {folder}, by a link or by its name; remove the link or choose another folder with -o")


def check_unused(folder: Path, record: str, known: tuple[str, ...] = ()) -> None:
    """Refuse a folder that somebody else's file chose and that holds what is not a run's.

    Args:
        folder: need not be there.
        record: name of the file that a run of this kind leaves.
        known: what else may be there.

    Raises:
        InputError: it holds other files, and no run.
    """
    with contextlib.suppress(OSError):
        names = sorted(path.name for path in folder.iterdir() if path.name not in (LOCK, *known) and not path.name.endswith(PART))
        if names and record not in names:
            raise InputError(f"{folder} holds {names[0]!r}, which no run wrote; choose another folder with -o")


@contextlib.contextmanager
def claimed(folder: Path | None) -> Iterator[None]:
    """Hold a folder while a run writes into it, and clear what a run that was killed left half written there.

    A folder that stays empty is removed again.

    Args:
        folder: made if need be; None for none, and again by whoever holds it.

    Raises:
        InputError: another run writes into it.
        StorageError: the file system refused.
    """
    try:
        key = None if folder is None else folder.resolve()
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"{folder} is not a path; choose another with -o") from None
    me = threading.get_ident()
    if folder is None or key is None or _claims.get(key) == me:
        yield
        return
    try:
        made = _make(folder)
        handle = _lock(folder)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror or error}; choose another folder with -o") from None
    try:
        _claims[key] = me
        _sweep(folder)
        yield
    finally:
        del _claims[key]
        with contextlib.suppress(OSError):
            os.unlink(folder / LOCK)
        os.close(handle)
        with contextlib.suppress(OSError):
            for new in made:
                new.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make a folder and return what was made, the deepest first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _lock(folder: Path) -> int:
    """Return the handle of the folder's lock, which closes with this process at the latest."""
    while True:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise InputError(f"another run writes into {folder}; wait for its end or choose another folder with -o") from None
        except OSError:  # a file system without locks
            return handle
        try:
            if os.path.samestat(os.fstat(handle), os.stat(folder / LOCK)):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)  # it was removed by the run before, between our two calls


def _sweep(folder: Path) -> None:
    """Remove files that a killed run was writing."""
    with contextlib.suppress(OSError):
        for place in (folder, *(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())):
            for part in place.glob(f".*{PART}"):
                part.unlink()

"""Safe reading and writing of files.

Files are replaced atomically (`write_atomic`), never outside the run folder (`inside`), and by one run at a time (`claimed`).
Reading never blocks on pipes or devices (`open_regular`). `scratch` makes temporary folders, and removes those of killed runs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vpinn.errors import InputError, StorageError
from vpinn.interrupt import undisturbed

LOCK = ".lock"
"""Name of the lock file in a run folder. The operating system releases the lock when the process ends, even if it is killed."""
PATIENCE = 0.5
"""Seconds for which a lock is waited for: a process that a run was starting when it was killed holds it for a moment longer."""
SCRATCH = "vpinn-"
"""Prefix of the names of temporary folders."""
PART = ".vpinn-part"
"""Suffix of the name of a file that is still being written."""

_claims: dict[Path, int] = {}  # folder that this process has locked → identifier of the thread that locked it


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that at any moment it has either the old or the new content, even if the machine loses power.

    Signals take effect only afterwards, so that no temporary file is left behind.

    Raises:
        StorageError: The file could not be written; the old file is intact.
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
    """Open a regular file for reading; refuse pipes and devices, on which reading could block.

    Raises:
        OSError: The file does not exist, or is not a regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: The file does not exist, is not a regular file, or cannot be read.
    """
    with open_regular(path) as file:
        return file.read()


TRIES = 10
"""Attempts to create and lock a temporary folder before another process removes it as abandoned."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a temporary folder for the with block, and remove it afterwards; first remove those of processes that were killed.

    Raises:
        StorageError: The folder could not be created.
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
    """Return a new temporary folder and the handle of its lock; retry if another process removes it before it is locked.

    Raises:
        OSError: The folder could not be created.
    """
    for _ in range(TRIES):
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
        with contextlib.suppress(FileNotFoundError, InputError):
            return folder, _lock(folder)
    raise FileNotFoundError(errno.ENOENT, "temporary folders disappear", tempfile.gettempdir())


def _drop(folder: Path) -> None:
    """Remove a temporary folder of this user if the process that locked it has ended; keep folders without a lock file."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or not (folder / LOCK).exists():
        return
    try:
        handle = _lock(folder)
    except InputError:  # its process is still running
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.close(handle)


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file to be written in a folder or its subfolders.

    Raises:
        InputError: The path leads out of the folder, by ".." or by symbolic links.
    """
    path = folder / name
    try:
        if path.parent.resolve().is_relative_to(folder.resolve()):
            return path
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"{path} is not a valid path; choose another name") from None
    raise InputError(f"{path} lies outside {folder}, by a link or by its name; remove the link or choose another folder with -o")


def check_unused(folder: Path, record: str, known: tuple[str, ...] = ()) -> None:
    """Refuse a folder with files of other origin, if the user did not choose it with -o.

    A problem file from somebody else could name any folder as ``output.directory``; its files must not be replaced.

    Args:
        folder: Folder to check; need not exist.
        record: Name of the file by which a folder of an earlier run is recognised.
        known: Names of other files that may be in the folder.

    Raises:
        InputError: The folder holds other files, and no ``record``.
    """
    with contextlib.suppress(OSError):
        names = sorted(path.name for path in folder.iterdir() if path.name not in (LOCK, *known) and not path.name.endswith(PART))
        if names and record not in names:
            raise InputError(f"{folder} holds {names[0]!r}, which no run wrote; choose another folder with -o")


@contextlib.contextmanager
def claimed(folder: Path | None) -> Iterator[None]:
    """Lock a folder for the with block, so that only one run writes into it, and remove partial files that killed runs left.

    If the folder had to be created and is still empty at the end, it is removed. In a thread that has locked the folder already,
    a further call has no effect.

    Args:
        folder: Folder to lock; created if it does not exist. None: nothing is locked.

    Raises:
        InputError: Another run has locked the folder.
        StorageError: The folder could not be created or locked.
    """
    try:
        key = None if folder is None else folder.resolve()
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"{folder} is not a valid path; choose another folder with -o") from None
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
    """Create a folder with its parents, and return those created, the deepest first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _lock(folder: Path) -> int:
    """Lock a folder and return the handle of the lock, which the system closes when this process ends.

    Raises:
        InputError: Another process has locked the folder.
        OSError: The lock file could not be created.
    """
    until = time.monotonic() + PATIENCE
    while True:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            if time.monotonic() < until:
                time.sleep(PATIENCE / 50.0)
                continue
            raise InputError(f"another run writes into {folder}; wait for its end or choose another folder with -o") from None
        except OSError:  # the file system does not support locks
            return handle
        try:
            if os.path.samestat(os.fstat(handle), os.stat(folder / LOCK)):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)  # an earlier run removed the lock file between open and flock


def _sweep(folder: Path) -> None:
    """Remove partial files, which a killed run was writing, from a folder and its subfolders."""
    with contextlib.suppress(OSError):
        for place in (folder, *(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())):
            for part in place.glob(f".*{PART}"):
                part.unlink()

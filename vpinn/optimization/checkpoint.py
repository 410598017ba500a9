"""Write and read checkpoints: plain arrays in one .npz file with a version number and a content hash.

A new file replaces the old one atomically, so that an interrupted write loses nothing. Pickle is avoided, because a flipped bit
in a pickled archive can silently load as other numbers; here the hash covers every array.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import StorageError
from vpinn.storage import open_regular, write_atomic

VERSION = 4
"""Version of the format; a file of another version is refused."""
META = "meta"
"""Name of the array that holds the JSON description."""
HASH = "sha256"
"""Name of the array that holds the content hash."""
DAMAGED = (
    OSError,
    ValueError,
    AttributeError,
    RecursionError,
    KeyError,
    EOFError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    tokenize.TokenError,
    NotImplementedError,
)
"""Exceptions that reading a damaged archive can raise, since sizes, flags, names and headers may all be wrong."""


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write arrays and a JSON-compatible description to a checkpoint.

    Args:
        path: target file, ending in .npz.
        arrays: name → array of numbers.
        meta: further values needed to resume; floats, integers of any size and strings are kept exactly.

    Raises:
        StorageError: the file could not be written.
    """
    content = {**arrays, META: np.frombuffer(json.dumps({**meta, "version": VERSION}).encode(), dtype=np.uint8)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **content, **{HASH: np.frombuffer(_digest(content), dtype=np.uint8)})
    write_atomic(path, buffer.getvalue())


def load_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read the arrays and the description that ``save_arrays`` wrote.

    Raises:
        StorageError: the file is missing, damaged, or of another version.
    """
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.zip.infolist()):
                raise ValueError("it is compressed")  # what it would take is not known beforehand
            content = {name: archive[name] for name in archive.files}
        if not all(isinstance(one, np.ndarray) for one in content.values()):
            raise ValueError("a member is no array")  # numpy returns those that do not begin as arrays do as bytes
        stored = content.pop(HASH).tobytes()
        meta = json.loads(content[META].tobytes())
        version = meta.get("version")
    except FileNotFoundError:
        raise StorageError(f"{path}: there is no checkpoint; run without --resume") from None
    except DAMAGED as error:
        raise StorageError(f"{path}: the checkpoint is damaged ({type(error).__name__}); start anew with --overwrite") from None
    if stored != _digest(content):
        raise StorageError(f"{path}: the checkpoint is damaged (its hash does not match); start anew with --overwrite")
    if version != VERSION:
        raise StorageError(f"{path}: checkpoint version {version}, expected {VERSION}; start anew with --overwrite")
    del content[META]
    return content, meta


def _digest(content: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the SHA-256 hash of the names, types, shapes and bytes of all arrays."""
    total = hashlib.sha256()
    for name in sorted(content):
        array = np.ascontiguousarray(content[name])
        total.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        total.update(array.tobytes())
    return total.digest()

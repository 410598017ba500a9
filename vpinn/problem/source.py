"""The text of a problem file, read within limits, parsed, changed by ``--set``, with the place of every key for messages.

Start with `read_source`.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vpinn.errors import InputError
from vpinn.problem.places import Path as KeyPath
from vpinn.problem.places import key_lines, line_of
from vpinn.problem.wording import printable

MAX_BYTES = 256_000
MAX_LINE = 12_000
MAX_KEY_PARTS = 8

# tomllib needs a time quadratic in the parts of a dotted key (15 s for a key of 40 kB), so that keys of many parts are refused
# before. The bounded lengths in this pattern keep the search for them linear.
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.){0,64}+"|'[^'\n]{0,64}+')"""
_DOTTED = re.compile(rf"(?<![\w-])(?:{_PART}[ \t]*+\.[ \t]*+){{{MAX_KEY_PARTS}}}")
_AT_LINE = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True)
class Source:
    """A problem as text and as nested dictionaries.

    Attributes:
        path: problem file as the user named it; None for a problem made in Python.
        text: text of the file; None for a problem made in Python.
        data: parsed file with the overrides applied.
        lines: key path → line of the text, counted from 1.
        overrides: key paths that were set on the command line.
        mesh_root: folder in which meshes may lie that are not below that of the file; None for no other.
        base: folder in which relative paths start.
        domain: domain that was given in Python instead of a section; None for the section.
        form: form that was given in Python instead of a text; None for the text.
    """

    path: Path | None
    text: str | None
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overrides: frozenset[KeyPath] = frozenset()
    mesh_root: Path | None = None
    base: Path = Path()
    domain: Any = None
    form: Any = None

    @property
    def written(self) -> bool:
        """Whether the sections state the whole problem; False if a domain or a form was given in Python."""
        return self.domain is None and self.form is None

    def place(self, *key: str | int) -> str:
        """Return where a key was written: ``file:line``, ``--set section.key``, the file, or "" for a problem made in Python."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.overrides:
                return f"--set {'.'.join(map(str, key[:length]))}"
        if self.path is None:
            return ""
        line = line_of(self.lines, key)
        return f"{self.path}:{line}" if line else str(self.path)

    @contextmanager
    def located(self, *key: str | int) -> Iterator[None]:
        """Add the name and the place of ``key`` to every InputError raised in this context that has no place yet."""
        try:
            yield
        except InputError as error:
            if error.where:
                raise
            raise InputError(f"{'.'.join(map(str, key))}: {error.message}", self.place(*key)) from None


def read_source(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Source:
    """Read and parse a problem file.

    Args:
        path: problem file, a regular file of at most 256 kB in UTF-8.
        overrides: ``section.key=value`` each, as given to ``--set``; the value is TOML or, if that fails, plain text. A number in
            the key selects a table of an array: ``boundary.0.value=1``.

    Returns:
        The source, not yet validated against the schema.

    Raises:
        InputError: the file cannot be read or is no TOML, or the key of an override does not exist in it.
    """
    path = Path(path)
    text = _decode(_read_bytes(path), path)
    data = parse(text, str(path))
    changed = [_override(data, item) for item in overrides]
    return Source(path, text, data, key_lines(text.replace("\r\n", "\n")), frozenset(changed), base=path.parent)


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the tables of a TOML text, after refusing lines and keys that the parser would need very long for.

    Args:
        text: TOML with any line ends.
        where: name of the file, for messages.

    Raises:
        InputError: the text is no TOML, or has a line over 12,000 characters or a key of more than 8 parts; names the line.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            raise InputError(f"line of {len(line)} characters; a line may have {MAX_LINE}", f"{where}:{number}")
        if _DOTTED.search(line):
            raise InputError(f"a key with more than {MAX_KEY_PARTS} dotted parts; use section.key", f"{where}:{number}")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError("arrays or tables nested too deeply; a problem file needs at most three levels", where) from None
    except ValueError as error:
        reason = str(error)
        if match := _AT_LINE.search(reason):
            where, reason = f"{where}:{match[1]}", f"{reason[: match.start()]}, column {match[2]}"
        elif reason.endswith("(at end of document)"):
            where = f"{where}:{len(text.rstrip().splitlines()) or 1}"
        if "Illegal character '\\n'" in reason:
            reason = f"a text ends with a quote, and this line ends without it ({reason.rpartition(', ')[2]})"
        raise InputError(f"not valid TOML: {printable(reason, 200)}", where) from None


def _read_bytes(path: Path) -> bytes:
    """Return the content of a regular file; anything else is refused without waiting, such as a pipe or a device."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise InputError("no such file", str(path)) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", printable(str(path))) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError("not a regular file; give the path of a problem file", str(path))
    with os.fdopen(handle, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES // 1000} kB, which no problem file needs", str(path))
    return content


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"not UTF-8 text: byte 0x{content[error.start]:02x}; save the file as UTF-8", f"{path}:{line}") from None


def _override(data: dict[str, Any], item: str) -> KeyPath:
    """Set one ``section.key=value`` in ``data`` and return the key path it set."""
    name, equals, raw = item.partition("=")
    parts = [part.strip() for part in name.split(".")]
    where = f"--set {printable(name.strip())}"
    if not equals or not all(parts) or len(parts) > MAX_KEY_PARTS:
        raise InputError(f"expected section.key=value, got {printable(item)!r}", "--set")
    try:
        value = parse(f"value = {raw}", where)["value"] if "\n" not in raw else raw
    except InputError:
        value = raw
    node: Any = data
    path: list[str | int] = []
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(node, list):
            if not part.isdecimal() or len(part) > 6 or int(part) >= len(node):
                raise InputError(f"{'.'.join(parts[:depth])} has entries 0 to {len(node) - 1}, got {printable(part)!r}", where)
            path.append(int(part))
        elif isinstance(node, dict):
            path.append(part)
            if not last:
                node.setdefault(part, {})
        else:
            raise InputError(f"{'.'.join(parts[:depth])} is a value, not a section", where)
        if last:
            node[path[-1]] = value
        else:
            node = node[path[-1]]
    return tuple(path)

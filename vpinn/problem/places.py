"""Line numbers of the keys of a TOML text, so that errors can say ``file:line``.

``tomllib`` does not return positions. The scanner here runs on text that ``tomllib`` has accepted, so that it only has to find
the beginning of statements and array elements, without validating them. Start with `key_lines`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*+")
_KEY_PART = re.compile(r"""[ \t]*+("(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'|[A-Za-z0-9_-]++)[ \t]*+""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|' r"'''.*?'{3,5}(?!')|" r'"(?:[^"\\\n]|\\.)*+"|' r"'[^'\n]*+'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^\"'#\[\]{},\n]++")


def key_lines(text: str) -> dict[Path, int]:
    r"""Return the line of every table, key and array element.

    Args:
        text: valid TOML with ``\n`` line ends.

    Returns:
        key path → line (from 1), e.g. ``("form", "weak") → 23`` and, for the second table of an array of tables,
        ``("boundary", 1, "value") → 31``. Keys inside an inline table are not listed: they share the line of its key.
    """
    return _Scanner(text).run()


def line_of(lines: Mapping[Path, int], path: Path) -> int | None:
    """Return the line of a key path, or of the innermost key or table around it that is listed; None if there is none."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


class _Scanner:
    """One pass over the text; ``position`` only moves forward."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0
        self.line, self.counted = 1, 0
        self.lines: dict[Path, int] = {}
        self.implied: dict[Path, int] = {}  # tables that have no header of their own: those around "b" of [a.b]
        self.sizes: dict[Path, int] = {}

    def run(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip_blank() < len(self.text):
            line = self._line()
            if self._take("[["):
                table = self._resolve(self._key())
                count = self.sizes[table] = self.sizes.get(table, 0) + 1
                self.lines.setdefault(table, line)
                table = (*table, count - 1)
                self.lines[table] = line
                self._imply(table, line)
                self.position += 2
            elif self._take("["):
                table = self._resolve(self._key())
                self.lines.setdefault(table, line)
                self._imply(table, line)
                self.position += 1
            else:
                path = (*table, *self._key())
                for length in range(len(table) + 1, len(path) + 1):
                    self.lines.setdefault(path[:length], line)
                self.position += 1
                self._value(path)
        return self.implied | self.lines

    def _imply(self, table: Path, line: int) -> None:
        for length in range(1, len(table)):
            self.implied.setdefault(table[:length], line)

    def _skip_blank(self) -> int:
        match = _BLANK.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return self.position

    def _line(self) -> int:
        self.line += self.text.count("\n", self.counted, self.position)
        self.counted = self.position
        return self.line

    def _take(self, token: str) -> bool:
        found = self.text.startswith(token, self.position)
        self.position += len(token) if found else 0
        return found

    def _key(self) -> Path:
        parts: list[str] = []
        while match := _KEY_PART.match(self.text, self.position):
            part = match.group(1)
            parts.append(str(tomllib.loads(f"key = {part}")["key"]) if part[0] in "\"'" else part)
            self.position = match.end()
            if not self._take("."):
                break
        return tuple(parts)

    def _resolve(self, key: Path) -> Path:
        """Return the key path of a table header; where it goes through an array of tables, the last index is added."""
        path: Path = ()
        for part in key[:-1]:
            path = (*path, part)
            if path in self.sizes:
                path = (*path, self.sizes[path] - 1)
        return (*path, *key[-1:])

    def _value(self, path: Path) -> None:
        """Move ``position`` behind the value there, and note the lines of the elements if it is an array."""
        depth, element, expecting = 0, 0, False
        while self.position < len(self.text):
            if depth:
                self._skip_blank()
            character = self.text[self.position : self.position + 1]
            if depth == 0 and character in ("\n", "#"):
                return
            if expecting and character not in ("]", ""):
                self.lines[(*path, element)] = self._line()
                expecting = False
            if character in ('"', "'"):
                match = _STRING.match(self.text, self.position)
            else:
                match = _PLAIN.match(self.text, self.position)
                if not match:
                    if character == "[" and depth == 0:
                        expecting, element = True, 0
                    elif character == "," and depth == 1:
                        expecting, element = bool(self.lines.get((*path, 0))), element + 1
                    depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(character, 0)
            self.position = match.end() if match else self.position + 1

"""Worked problems: complete problem files to read, to solve, and to start an own problem from."""

from __future__ import annotations

import difflib
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from vpinn.errors import InputError, StorageError

INDEX = "README.md"
"""File in the folder of the worked problems whose tables of two columns list them: kind, names."""
INSTALLED = Path("share", "vpinn", "problems")
"""Folder of the worked problems in an installation, relative to ``sys.prefix``."""


@dataclass(frozen=True)
class Worked:
    """A worked problem.

    Attributes:
        kind: kind of problem, from the index.
        name: name of its file, without suffix.
        title: title of the problem.
        file: problem file.
    """

    kind: str
    name: str
    title: str
    file: Path


def worked_problems() -> tuple[Worked, ...]:
    """Return all worked problems in the order of the index.

    Raises:
        StorageError: there are no worked problems, or they cannot be read.
    """
    folder = _folder()
    try:
        index = (folder / INDEX).read_text(encoding="utf-8").partition("\n## ")[0]
        rows = re.findall(r"^\| (?!kind |---)([^|]+) \| ([^|]+) \|$", index, re.MULTILINE)
        found = []
        for kind, names in rows:
            for name in re.findall(r"\w+", re.sub(r"\([^)]*\)", "", names)):
                file = folder / f"{name}.toml"
                title = tomllib.loads(file.read_text(encoding="utf-8")).get("title", name)
                found.append(Worked(kind.strip(), name, title, file))
    except (OSError, ValueError) as error:
        raise StorageError(f"{folder}: the worked problems cannot be read: {error}") from None
    return tuple(found)


def copy_worked(name: str, target: Path) -> list[Path]:
    """Copy a worked problem with its mesh, its reference values and its data, without replacing other files.

    Args:
        name: name of the worked problem.
        target: problem file to write; the other files are written relative to its folder.

    Returns:
        the files written, the problem file first.

    Raises:
        InputError: there is no such problem, or a file exists already.
        StorageError: a file cannot be written.
    """
    known = {worked.name: worked for worked in worked_problems()}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else "vpinn new --list names them"
        raise InputError(f"--from: there is no worked problem {name!r}; {hint}")
    file = known[name].file
    stated = tomllib.loads(file.read_text(encoding="utf-8"))
    named = [stated["domain"].get("mesh"), stated.get("reference", {}).get("file")]
    named += [one.get("file") for one in (*stated.get("data", []), *stated.get("fields", {}).values())]
    copies = [(file, target), *((file.parent / one, target.parent / one) for one in named if one is not None)]
    for source, copy in copies:
        if copy.exists() and (copy == target or copy.read_bytes() != source.read_bytes()):
            raise InputError("exists already; choose another name, or another folder", str(copy))
    for source, copy in copies:
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
        except OSError as error:
            raise StorageError(f"{copy}: cannot be written: {error.strerror or error}") from None
    return [copy for _, copy in copies]


def _folder() -> Path:
    """Return the folder of the worked problems: in a checkout beside the package, else in the environment."""
    for folder in (Path(__file__).parents[2] / "problems", Path(sys.prefix) / INSTALLED):
        if (folder / INDEX).is_file():
            return folder
    raise StorageError("this installation has no worked problems; install vpinn from its checkout or wheel")

"""The commands that help to write problem files: ``vpinn new``, ``schema`` and ``functions``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from vpinn.cli.display import print_columns, say
from vpinn.cli.options import argument, option
from vpinn.errors import InputError, StorageError


def schema() -> None:
    """Print the JSON Schema of problem files, with which editors complete and check them."""
    from vpinn.problem import schema_json

    print(json.dumps(schema_json(), indent=2))


def functions() -> None:
    """List what expressions may call, one line each."""
    from vpinn.problem import FUNCTIONS

    print_columns((kind, *line) for kind, lines in FUNCTIONS.items() for line in lines)


def new(
    name: Annotated[str | None, argument(help="Title of the problem, and name of its file without .toml.")] = None,
    worked: Annotated[str | None, option("--from", metavar="NAME", help="Copy this worked example, with its mesh.")] = None,
    listed: Annotated[bool, option("--list", help="List the worked examples by kind.")] = False,
) -> None:
    """Write a commented problem file to start from, or copy a worked example; existing files are never replaced."""
    from vpinn.problem import copy_worked, template, worked_problems

    if listed:
        print_columns((found.kind, found.name, found.title) for found in worked_problems())
        return
    if name is None:
        raise InputError("give a name for the problem, as in `vpinn new heat`, or see the worked examples with --list")
    path = Path(f"{name.removesuffix('.toml')}.toml")
    if worked is not None:
        written = copy_worked(worked.removesuffix(".toml"), path)
        say(f"{', '.join(map(str, written))} written; solve it with: vpinn solve {path}")
        return
    text = template(name.removesuffix(".toml"))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError("exists already; choose another name", str(path)) from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from None
    say(f"{path} written; solve it with: vpinn solve {path}")


COMMANDS = (
    (schema, "Example: `vpinn schema > vpinn.json`, and `#:schema vpinn.json` as the first line of a problem file"),
    (functions, "Example: `vpinn functions | grep matri`"),
    (new, "Examples: `vpinn new heat` writes heat.toml; `vpinn new part --from plate_with_holes` copies an example"),
)
"""Function of a command, and the last lines of its help."""

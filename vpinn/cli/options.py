"""Types of the arguments and options that several commands share, with their help texts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer


def completed(incomplete: str) -> list[str]:
    """Return what ``--set`` may go on with: sections, keys of a section, and the choices of a key."""
    from vpinn.problem import schema_json

    schema = schema_json()
    section, _, rest = incomplete.partition(".")
    found = schema["properties"].get(section, {})
    reference = found.get("$ref") or next((one["$ref"] for one in found.get("anyOf", ()) if "$ref" in one), "")
    keys = schema["$defs"].get(reference.rpartition("/")[2], {}).get("properties", {})
    key, equals, _ = rest.partition("=")
    if equals:
        entries = [keys.get(key, {}), *keys.get(key, {}).get("anyOf", ())]
        words = [f"{section}.{key}={choice}" for entry in entries for choice in entry.get("enum", ())]
    else:
        words = [f"{section}.{name}=" for name in keys] or [f"{name}." for name in schema["properties"]]
    return [word for word in words if word.startswith(incomplete)]


option, argument = partial(typer.Option, show_default=False), partial(typer.Argument, show_default=False)
File = Annotated[Path, argument(metavar="FILE", help="Problem file (TOML).")]
Run = Annotated[Path, argument(metavar="RUN", help="Run folder that `vpinn solve` wrote.")]
Set = Annotated[
    list[str] | None,
    option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change a setting, e.g. solver.steps=500. Repeatable.",
        autocompletion=lambda incomplete: completed(incomplete),
    ),
]
Folder = Annotated[Path | None, option("-o", "--output", metavar="DIR", help="Folder; default results/NAME (noise: NAME/noise).")]
Seed = Annotated[int | None, option(help="Seed of all random numbers; short for --set solver.seed=…")]
Threads = Annotated[int | None, option(min=1, help="Threads; default OMP_NUM_THREADS, else one per core above a million points.")]
Workers = Annotated[int | None, option(min=1, help="Processes on this machine that share the points; see also torchrun.")]
Restarts = Annotated[
    int, typer.Option("--max-restarts", min=0, help="How often workers are started again, from the checkpoint, if one is killed.")
]
Device = Annotated[str | None, option(metavar="NAME", help="Where training computes: cpu (default), cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and failed checks only.")]
Loud = Annotated[
    bool | None,
    typer.Option("--verbose/--quiet", "-v/-q", help="Print the traceback of a bug; or errors only.", show_default=False),
]
"""Verbose and quiet as one option: True, False, or None for neither."""
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print details, and the traceback of a bug.")]
At = Annotated[
    list[str] | None,
    option("--at", metavar="POINT|FILE", help='A point, "0.5,0.5" (t last), or a csv file with columns x, y, …. Repeatable.'),
]
Param = Annotated[
    list[str] | None,
    option("--param", metavar="NAME=VALUE", help="Of a family: value of a parameter, for each of them. Repeatable."),
]
Line = Annotated[
    str | None,
    option("--line", metavar="FROM:TO[:N]", help='Points on a line instead, "0,0:1,0" or with their number "0,0:1,0:11".'),
]
Start = Annotated[
    Path | None,
    option("--from", metavar="RUN", help="Start from another run: its weights, its features with least squares, or its field."),
]
MeshRoot = Annotated[Path | None, option("--mesh-root", metavar="DIR", help="Folder of the mesh, if not below that of FILE.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with code 5 if a check of the solution fails.")]
Log = Annotated[
    str | None,
    option("--log", metavar="FILE|-", help="Write JSON lines while it runs, - to stdout; tensorboard:DIR for TensorBoard."),
]
Target = Annotated[Path | None, option("-o", "--output", metavar="FILE", help="File to write; its suffix chooses the format.")]

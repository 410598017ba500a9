"""Types of the arguments and options that several commands share, with their help texts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

option, argument = partial(typer.Option, show_default=False), partial(typer.Argument, show_default=False)
File = Annotated[Path, argument(metavar="FILE", help="Problem file (TOML).")]
Run = Annotated[Path, argument(metavar="RUN", help="Run folder that `vpinn solve` wrote.")]
Set = Annotated[
    list[str] | None,
    option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting, e.g. solver.steps=500. Repeatable."),
]
Folder = Annotated[Path | None, option("-o", "--output", metavar="DIR", help="Folder; default results/NAME (noise: NAME/noise).")]
Seed = Annotated[int | None, option(help="Seed of all random numbers; short for --set solver.seed=…")]
Threads = Annotated[int | None, option(min=1, help="Threads to compute with; default one per core.")]
Device = Annotated[str | None, option(metavar="NAME", help="Where training computes: cpu (default), cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and failed checks only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print details, and the traceback of a bug.")]
At = Annotated[
    list[str] | None,
    option("--at", metavar="POINT|FILE", help='A point, "0.5,0.5" (t last), or a csv file with columns x, y, …. Repeatable.'),
]
Param = Annotated[
    list[str] | None,
    option("--param", metavar="NAME=VALUE", help="Of a family: value of a parameter, for each of them. Repeatable."),
]
Target = Annotated[Path | None, option("-o", "--output", metavar="FILE", help="File to write; its suffix chooses the format.")]

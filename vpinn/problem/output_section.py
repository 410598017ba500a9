"""The [output] section of a problem file: which files a run writes, and where."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vpinn.problem.section import Real, Section, Text


class Output(Section):
    """Files of the run folder."""

    directory: Text | None = Field(
        None, description="Run folder, below the problem file or the working directory; default results/<file stem>."
    )
    formats: tuple[Literal["vtu", "xdmf", "csv", "npz"], ...] = Field(("vtu",), description="Formats of the solution field.")
    refine: Annotated[int, Field(strict=True, ge=0, le=4)] = Field(0, description="Refinements of the output mesh, 0 to 4.")
    times: Annotated[int, Field(strict=True, ge=2, le=10_000)] | tuple[Real, ...] | None = Field(
        None,
        description="With domain.time: number of instants written, from start to end (2 to 10,000), or a list; default 11.",
    )

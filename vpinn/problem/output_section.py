"""The [output] section of a problem file: which files a run writes, and where, and what else it tells of the solution."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vpinn.problem.section import Real, Section, Text, Value


class Output(Section):
    """Files of the run folder, and further fields and integrals of the solution."""

    directory: Text | None = Field(
        None, description="Run folder, below the problem file or the working directory; default results/<file stem>."
    )
    formats: tuple[Literal["vtu", "xdmf", "csv", "npz"], ...] = Field(("vtu",), description="Formats of the solution field.")
    refine: Annotated[int, Field(strict=True, ge=0, le=4)] = Field(0, description="Refinements of the output mesh, 0 to 4.")
    times: Annotated[int, Field(strict=True, ge=2, le=10_000)] | tuple[Real, ...] | None = Field(
        None,
        description="With domain.time: number of instants written, from start to end (2 to 10,000), or a list; default 11.",
    )
    fields: dict[Text, Value] = Field(
        {},
        max_length=100,
        description='Further fields, which are written, evaluated and drawn like unknowns: { flux = "-k*grad(u)" }.',
    )
    quantities: dict[Text, Text] = Field(
        {},
        max_length=100,
        description="Integrals of the solution, each with an error estimate: { heat = \"-k*dot(grad(u), n)*ds('base')\" }.",
    )

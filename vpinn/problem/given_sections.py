"""Sections for lists of numbers from files, and for solutions by other methods, which measure the error."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vpinn.problem.section import Section, Text

ElementDegree = Annotated[int, Field(strict=True, ge=1, le=10)]


class NumbersFile(Section):
    """A list of numbers from a file."""

    file: Text = Field(description="CSV file of numbers, row by row; a first line that is no number is a header.")


class FiniteElements(Section):
    """The same form solved with continuous Lagrange elements on the mesh."""

    degree: ElementDegree | dict[str, ElementDegree] = Field(
        2,
        description="Polynomial degree of the elements, 1 to 10; multipliers such as a pressure get one less. Or a table "
        "of degrees by unknown: { u = 3, p = 2 }.",
    )
    refine: Annotated[int, Field(strict=True, ge=0, le=8)] = Field(
        0, description="How often the mesh is refined before, each cell into 2^d cells, 0 to 8."
    )


class WalkSection(Section):
    """Random walks from a few points, which measure the error where no mesh is possible."""

    points: Annotated[int, Field(ge=1, le=10_000)] = Field(20, description="Points inside at which the error is measured.")
    walks: Annotated[int, Field(ge=2, le=1_000_000)] = Field(256, description="Walks that start at each of them.")

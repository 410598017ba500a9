"""Sections of things that are given beside the equation: lists of numbers, walks as a yardstick."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vpinn.problem.section import Section, Text


class NumbersFile(Section):
    """A list of numbers from a file."""

    file: Text = Field(description="CSV file of numbers, row by row; a first line that is no number is a header.")


class WalkSection(Section):
    """Random walks at a few points, as a yardstick of the error where no mesh reaches."""

    points: Annotated[int, Field(ge=1, le=10_000)] = Field(20, description="Points inside at which the error is measured.")
    walks: Annotated[int, Field(ge=2, le=1_000_000)] = Field(256, description="Walks that start at each of them.")

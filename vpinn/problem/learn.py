"""The section [learn] of a problem file: how initial weights for the members of a family are learned."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from vpinn.problem.section import Positive, Section, Text

LEARNERS: Final = ("reptile", "maml")
"""Methods that learn from the members of a family, see `vpinn.learning`."""


class LearnSection(Section):
    """Learning of initial weights and features from members of a family, for further members."""

    members: Annotated[int, Field(strict=True, ge=2, le=500)] = Field(
        12, description="Number of members to learn from, drawn from the ranges of the parameters (2 to 500)."
    )
    inner: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        8, description="Steps on one member before the common weights move (1 to 1000)."
    )
    rate: Annotated[Positive, Field(le=1)] = Field(5e-3, description="Step size of these inner steps, which are Adam's (≤ 1).")
    reuse: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="Whether inner steps and outer gradient use one mini-batch instead of fresh ones; this biases the outer "
        "gradient, and the report tells by how much.",
    )
    train: Text = Field("adam", description="Method that trains members not seen before, in the closing comparison.")
    adapt: Annotated[int, Field(strict=True, ge=1, le=100_000)] = Field(
        200, description="Steps of that method on each of these members (≥ 1)."
    )
    unseen: Annotated[int, Field(strict=True, ge=0, le=50)] = Field(
        4, description="Number of members not seen before on which ways to solve are compared (0 to 50; 0: no comparison)."
    )

"""The network section of a problem file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vpinn.problem.section import Section, Text

Width = Annotated[int, Field(strict=True, ge=1, le=1024)]


class NetworkSection(Section):
    """The neural network that stands for the unknowns."""

    layers: tuple[Width, ...] | None = Field(
        None,
        min_length=1,
        max_length=20,
        description="Width of each hidden layer, 1 to 1024; default [20, 20] of gauss-newton, [30, 30, 30] of others.",
    )
    activation: Literal["tanh", "sin", "swish", "softplus"] = Field(
        "tanh", description="Activation; smooth, since derivatives are taken."
    )
    places: Annotated[bool, Field(strict=True)] = Field(
        True,
        description="Whether a trained network sees the distance to small holes and parts of a plane mesh, too.",
    )
    elements: Literal["auto"] | Annotated[int, Field(strict=True, ge=0, le=4)] = Field(
        "auto",
        description="Degree of a finite element solution that a trained network is added to, 0 to 4; auto: 3 where parts differ.",
    )
    enrich: tuple[Text, ...] = Field(
        (),
        max_length=100,
        description="Extra trial functions of every scalar component, expressions of the coordinates; coefficients are found.",
    )

"""The network section of a problem file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vpinn.problem.section import Added, Section, Text

Width = Annotated[int, Field(strict=True, ge=1, le=1024)]


class NetworkSection(Section):
    """The neural network that represents the unknowns."""

    layers: tuple[Width, ...] | None = Field(
        None,
        min_length=1,
        max_length=20,
        description="Width of each hidden layer, 1 to 1024; default [20, 20] for gauss-newton, [30, 30, 30] for other methods.",
    )
    activation: Literal["tanh", "sin", "swish", "softplus"] | Annotated[str, Added("activations")] = Field(
        "tanh", description="Activation function; all choices are smooth, because derivatives are needed."
    )
    places: Annotated[bool, Field(strict=True)] = Field(
        True,
        description="Whether a trained network on a plane mesh also takes the distance to small holes and parts as input.",
    )
    elements: Literal["auto"] | Annotated[int, Field(strict=True, ge=0, le=4)] = Field(
        "auto",
        description="Degree of a finite element solution to which a trained network is added, 1 to 4; 0: none; auto: 2 or 3 "
        "where elements leave less than random features and the form differs between parts, or the mesh is no simple shape.",
    )
    enrich: tuple[Text, ...] = Field(
        (),
        max_length=100,
        description="Extra trial functions of every component, as expressions of the coordinates; their coefficients are found.",
    )

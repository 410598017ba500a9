"""The sections of a problem file for conditions: on the boundary, in the domain, at points, and between periodic sides."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from vpinn.problem.section import Natural, Positive, Real, Section, Text, Value


class Boundary(Section):
    """A condition on part of the boundary: a value of the unknown, bounds of it, or a residual that must vanish there."""

    on: Text | tuple[Text, ...] = Field(description='Boundary tag, list of tags, "all", or "initial": the start of domain.time.')
    where: Text | None = Field(None, description="Restricts the condition to a piece of the part, such as x > 0.5 and y < 1.")
    unknown: Text | None = Field(None, description="Name of the unknown; may be left out if there is only one.")
    component: Natural | None = Field(None, description="Component of a vector unknown, counted from 0; default all components.")
    value: Value | None = Field(None, description="Boundary value: a number, an expression, or a list of these for a vector.")
    at_least: Value | None = Field(None, description="Contact, instead of value: lower bound of the unknown there.")
    at_most: Value | None = Field(None, description="Contact, instead of value: upper bound of the unknown there.")
    tie: Literal["equal", "rigid"] | None = Field(
        None,
        description="Instead of value: all of the part has one value, which is found (equal), or moves as a rigid body (rigid).",
    )
    rate: Value | None = Field(
        None, description='On "initial", if the equation has a second time derivative: the first time derivative at the start.'
    )
    residual: Text | None = Field(
        None,
        description="With a strong form, instead of a value: an expression of the unknowns that must vanish, imposed by penalty.",
    )
    impose: Literal["auto", "exact", "penalty", "nitsche"] = Field(
        "auto", description="exact: built into the trial space; penalty: by weighted squares; nitsche: by Nitsche's terms."
    )
    weight: Positive | None = Field(
        None, description="Weight of a penalty or Nitsche condition (> 0); by default chosen from the form."
    )

    @property
    def sides(self) -> tuple[str, ...]:
        """The tags in ``on`` as a tuple."""
        return (self.on,) if isinstance(self.on, str) else self.on

    @property
    def bounded(self) -> bool:
        """Whether it bounds the unknown instead of giving its value."""
        return self.at_least is not None or self.at_most is not None

    @property
    def valued(self) -> bool:
        """Whether it gives a value or a residual, which any method can impose."""
        return not self.bounded and self.tie is None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.on == ():
            raise ValueError('on needs at least one tag; write "all" for the whole boundary')
        if (self.value is not None) + (self.residual is not None) + self.bounded + (self.tie is not None) != 1:
            raise ValueError("give exactly one of value, residual and tie, or bounds: at_least, at_most, or both")
        if not self.valued and (self.impose != "auto" or self.weight is not None or self.on == "initial"):
            named = "tie holds" if self.tie else "at_least and at_most hold"
            raise ValueError(f"{named} at the nodes of elements; leave out impose, weight and the start of time")
        if self.tie == "rigid" and self.component is not None:
            raise ValueError('a rigid part moves along all axes; leave out component, or tie = "equal"')
        if self.rate is not None and self.on != "initial":
            raise ValueError('rate is given at the start, on = "initial"; leave it out elsewhere')
        if self.residual is not None and (self.impose not in ("auto", "penalty") or self.component is not None):
            raise ValueError("a residual is imposed by penalty and has no component; leave out impose and component")
        if self.residual is not None and self.unknown is not None:
            raise ValueError("a residual names its unknowns in the expression; leave out unknown")
        if self.weight is not None and self.impose == "exact":
            raise ValueError('an exact condition has no weight; leave out weight, or impose = "penalty"')
        return self


class Obstacle(Section):
    """Bounds of an unknown in all of the domain."""

    unknown: Text | None = Field(None, description="Which unknown; may be left out when there is one.")
    component: Natural | None = Field(None, description="One component of a vector unknown, from 0; default all of them.")
    at_least: Value | None = Field(None, description="Obstacle below: a number, an expression, or a list of these for a vector.")
    at_most: Value | None = Field(None, description="Obstacle above.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most, or both")
        return self


class PointSection(Section):
    """A value held at a point: a support, or a reference pressure."""

    at: tuple[Real, ...] | None = Field(None, description="Coordinates of the point; the nearest vertex of the mesh is held.")
    on: Text | None = Field(None, description="Tag of vertices of a mesh file, instead of at.")
    unknown: Text | None = Field(None, description="Which unknown; may be left out when there is one.")
    component: Natural | None = Field(None, description="One component of a vector unknown, from 0; default all of them.")
    value: Value = Field(0.0, description="A number, an expression, or a list of these for a vector; default 0.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.at is None) == (self.on is None):
            raise ValueError("give exactly one of at and on")
        return self


class PeriodicSection(Section):
    """Two periodic sides: unknowns take the same values, or opposite ones, on both."""

    start: Text = Field(alias="from", description="Boundary tag of one side.")
    to: Text = Field(description="Boundary tag of the other side, which is the first one translated.")
    unknown: Text | None = Field(None, description="Which unknown; default all of them.")
    factor: Literal[1, -1] = Field(1, description="-1 where the values are opposite.")

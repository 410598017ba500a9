"""The section ``[batch]`` of a problem file: mini-batches of quadrature points.

Its descriptions are the user's documentation (``vpinn schema``).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vpinn.problem.section import Added, Count, Positive, Real, Section

_DRAWN = ("sampler", "allocation", "strata", "strata_count", "per_cell", "replacement", "directions")
"""Keys of ``[batch]`` that say which points a mini-batch sees."""


class Batch(Section):
    """Mini-batches of quadrature points."""

    size: Count | Literal["full", "auto"] = Field(
        "full",
        description='Quadrature points per step (≥ 1); "full": all points; "auto": the best size for the measured noise scale. '
        "With least-squares, batches are added until fresh ones are fitted equally well.",
    )
    growth: Literal["none", "noise-scale", "norm-test", "geometric", "logarithmic"] | None = Field(
        None,
        description="How the size changes from the first batch on. noise-scale: follows the measured noise scale up and down "
        "(default if size is auto); norm-test: grows where the noise exceeds threshold; geometric: reaches largest in the last "
        "step; logarithmic: b ln(k + e) points in step k at constant step size (simulated annealing). Default none for a number.",
    )
    threshold: Positive | None = Field(
        None,
        description="Largest ratio of noise to norm of a batch's gradient, √(tr Σ/b)/‖g‖, that the norm test allows (> 0); "
        "default 3; for gauss-newton, which measures both in its own norm, 1.",
    )
    barrier: Positive | None = Field(
        None,
        description="Height of the barriers that annealing (growth logarithmic with sgd) keeps crossing, in units of the loss "
        "(> 0): the temperature in step k is height/ln(k) as soon as this is below the temperature of the first size. Default: "
        "the temperature that size gives.",
    )
    largest: Count | None = Field(
        None, description="Largest size of a batch that grows; default all points for gauss-newton, 16,384 for other methods."
    )
    finish: Annotated[Real, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of the steps, at the end of the run, that see all points (0 ≤ finish < 1)."
    )
    sampler: (
        Literal["uniform", "stratified", "antithetic", "sobol", "importance", "cells"] | Annotated[str, Added("samplers")]
    ) = Field(
        "stratified", description="How a batch is drawn; all choices are unbiased. cells: draws cells and takes points in them."
    )
    per_cell: Count | Literal["auto"] | None = Field(
        None,
        description='Points that sampler cells draws in each drawn cell (≥ 1); "auto": the best number for the measured '
        "variances between and within cells; default all points of the cell.",
    )
    allocation: Literal["proportional", "neyman", "equal-variance"] = Field(
        "proportional",
        description="How many points are drawn in each stratum. neyman and equal-variance measure the variance of the strata "
        "during the run; neyman also divides the points of a step between domain and boundary.",
    )
    strata: Literal["blocks", "cells", "tags", "residual", "gradient"] = Field(
        "blocks",
        description="Strata: blocks of neighbouring cells, cells, tags, or cells with similarly large residual or gradient.",
    )
    strata_count: Count | None = Field(None, description="Number of blocks or quantiles (≥ 1); by default chosen from the size.")
    replacement: Annotated[bool, Field(strict=True)] = Field(
        True, description="Whether a batch of sampler uniform may contain a point twice."
    )
    directions: Annotated[int, Field(strict=True, ge=2)] | Literal["auto"] | None = Field(
        None,
        description="Second derivatives that each point of a mini-batch takes (≥ 2), drawn from those by all coordinates of a "
        'strong form in many dimensions; all integrals stay unbiased. "auto": the best number for the measured variances of '
        "points and directions; default all.",
    )
    estimator: Literal["auto", "plain", "two-batch", "u-statistic", "control-variate"] = Field(
        "auto",
        description="How the square of an integral is estimated. plain: the square of one batch (biased); two-batch: "
        "the product of two independent batches; u-statistic: the square minus the sample variance; control-variate: the product "
        "of two batches with a control variate, whose noise vanishes at the solution.",
    )

    @property
    def changes(self) -> bool:
        """Whether the batch size may change from step to step."""
        return self.growth != "none" if self.size == "auto" else self.growth not in (None, "none")

    @property
    def drawn_by(self) -> str | None:
        """The first key in the file that says which points a mini-batch sees; None if there is none."""
        return next((key for key in _DRAWN if key in self.model_fields_set), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set
        if self.size == "full" and (self.growth not in (None, "none") or self.finish):
            raise ValueError('growth and finish are for mini-batches; give a size, a number or "auto"')
        if "threshold" in given and self.growth != "norm-test":
            raise ValueError(f'threshold belongs to growth "norm-test", got growth "{self.growth or "none"}"')
        if self.barrier is not None and self.growth != "logarithmic":
            raise ValueError(f'barrier belongs to growth "logarithmic", got growth "{self.growth or "none"}"')
        if self.largest is not None and self.growth in (None, "none") and self.size != "auto":
            raise ValueError("largest bounds a batch that grows; choose a growth")
        if self.largest is not None and isinstance(self.size, int) and self.largest < self.size:
            raise ValueError(f"largest must be size or more, got {self.largest} for a size of {self.size}")
        return self

    @model_validator(mode="after")
    def _check_sampler(self) -> Self:
        given = self.model_fields_set
        owners = {"allocation": "stratified", "strata": "stratified", "per_cell": "cells", "replacement": "uniform"}
        for key, owner in owners.items():
            if key in given and self.sampler != owner:
                raise ValueError(f'{key} belongs to sampler "{owner}", got sampler "{self.sampler}"')
        if "strata_count" in given and (self.sampler not in ("stratified", "importance") or self.strata in ("cells", "tags")):
            raise ValueError('strata_count belongs to strata "blocks", "residual" or "gradient", or to sampler "importance"')
        if (drawn := self.drawn_by) and self.size == "full" and ("size" in given or drawn != "directions"):
            raise ValueError(f'{drawn} says how mini-batches are drawn, but size is "full"; give a number, or leave it out')
        return self

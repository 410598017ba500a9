"""The sections of a problem file that say how the problem is solved."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vpinn.problem.section import Count, Natural, Positive, Real, Section, Text


class TestSpaceSection(Section):
    """Test functions of a weak form, and of least squares, which makes one of an energy: finite elements on the mesh."""

    __test__ = False  # no test case, whatever pytest reads into the name

    kind: Literal["conforming", "bubbles"] = Field(
        "conforming",
        description="conforming: continuous across cells; bubbles: inside the cells, as in hp-VPINNs, and blind to flux jumps.",
    )
    degree: Annotated[int, Field(strict=True, ge=1, le=10)] | None = Field(
        None, description="Polynomial degree of the elements, 1 to 10; default chosen from the mesh and the network."
    )


class Quadrature(Section):
    """Points and weights that turn integrals into sums."""

    rule: Literal["auto", "gauss", "monte-carlo", "sobol", "stochastic-gauss"] = Field(
        "auto",
        description="auto: Gauss rules on the cells of a mesh, Sobol points on a hypercube. stochastic-gauss has random nodes in "
        "each cell, unbiased and exact for cubics (on triangles and tetrahedra for linear functions).",
    )
    degree: Annotated[int, Field(strict=True, ge=1, le=30)] | None = Field(
        None,
        description="Polynomial degree that a Gauss rule integrates exactly on a cell, 1 to 30; default chosen from the form.",
    )
    points: Annotated[int, Field(strict=True, ge=1, le=10**15)] | None = Field(
        None, description="Number of Monte Carlo or Sobol points on a hypercube; default chosen from the dimension."
    )
    refine: Annotated[int, Field(strict=True, ge=0, le=20)] = Field(
        0, description="Times every cell is halved before the rule is applied, without storing the parts; 0 to 20."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.rule == "gauss" and self.points is not None:
            raise ValueError("a Gauss rule takes degree, not points; the cells fix the number of points")
        if self.rule == "stochastic-gauss" and (self.points is not None or self.degree is not None):
            raise ValueError("a stochastic Gauss rule takes neither degree nor points; refine says how fine it is")
        if self.rule in ("monte-carlo", "sobol") and self.degree is not None:
            raise ValueError(f"rule {self.rule!r} takes points, not degree")
        if self.degree is not None and self.points is not None:
            raise ValueError("give degree (on a mesh) or points (on a hypercube), not both")
        return self


_DRAWN = ("sampler", "allocation", "strata", "strata_count", "per_cell", "replacement")
"""Keys of ``[batch]`` that say which points a mini-batch sees."""


class Batch(Section):
    """Mini-batches of quadrature points."""

    size: Count | Literal["full", "auto"] = Field(
        "full",
        description='Quadrature points per step (≥ 1), "full", or "auto": the best for the measured noise scale. least-squares '
        "factorises batch after batch until fresh ones are fitted as well.",
    )
    growth: Literal["none", "noise-scale", "norm-test", "geometric", "logarithmic"] | None = Field(
        None,
        description="How the size goes on from the first batch: noise-scale follows what it measures up and down (the default "
        "of an auto size); norm-test grows where the noise exceeds threshold; geometric reaches largest in the last step; "
        "logarithmic, b ln(k + e) in step k at a step size that stays, is simulated annealing. Default none for a number.",
    )
    threshold: Positive | None = Field(
        None,
        description="Noise of a batch's gradient over its norm that the norm test allows, √(tr Σ/b)/‖g‖ (> 0); default 3, of "
        "gauss-newton, which measures both in its own norm, 1.",
    )
    barrier: Positive | None = Field(
        None,
        description="Depth of the barriers that annealing (growth logarithmic, of sgd) goes on crossing, in units of the loss "
        "(> 0): its temperature is depth/ln(k) in step k once that is below the temperature of size, the default.",
    )
    largest: Count | None = Field(
        None, description="Most points of a batch that grows; default all of gauss-newton, 16,384 of others."
    )
    finish: Annotated[Real, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of the steps, at the end, that see all points (0 ≤ finish < 1)."
    )
    sampler: Literal["uniform", "stratified", "antithetic", "sobol", "importance", "cells"] = Field(
        "stratified", description="How a batch is drawn; every one is unbiased. cells takes points of drawn cells."
    )
    per_cell: Count | Literal["auto"] | None = Field(
        None,
        description='Points that sampler cells takes in each drawn cell, at random (≥ 1), or "auto": the best for the measured '
        "variances between and within cells; default all of them.",
    )
    allocation: Literal["proportional", "neyman", "equal-variance"] = Field(
        "proportional",
        description="How many points each stratum gives; all but proportional learn variances from pilots, and neyman splits a "
        "step's points between domain and boundary, too.",
    )
    strata: Literal["blocks", "cells", "tags", "residual", "gradient"] = Field(
        "blocks",
        description="Strata: blocks of neighbouring cells, cells, tags, or cells with equally large residual or gradient.",
    )
    strata_count: Count | None = Field(None, description="Number of blocks or quantiles (≥ 1); default chosen from the size.")
    replacement: Annotated[bool, Field(strict=True)] = Field(
        True, description="Whether a batch of sampler uniform may hold a point twice."
    )
    estimator: Literal["auto", "plain", "two-batch", "u-statistic", "control-variate"] = Field(
        "auto",
        description="How a squared integral is estimated: plain is biased; two-batch multiplies two independent batches; "
        "u-statistic takes away the sample variance; control-variate multiplies two whose noise vanishes at the solution.",
    )

    @property
    def changes(self) -> bool:
        """Whether the size changes from step to step."""
        return self.growth != "none" if self.size == "auto" else self.growth not in (None, "none")

    @property
    def drawn_by(self) -> str | None:
        """Return the first key given that says which points a mini-batch sees; None where there is none."""
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
        if (drawn := self.drawn_by) and self.size == "full":
            raise ValueError(f'{drawn} says how mini-batches are drawn, but size is "full"; give a number, or leave it out')
        return self


_OWNED = {
    "momentum": "sgd",
    "temperature": "langevin",
    "precondition": "langevin",
    "population": "evolution",
    "spread": "evolution",
}
"""Key of ``[solver]`` → the only method that takes it."""


class Solver(Section):
    """The optimisation."""

    method: Literal[
        "auto", "least-squares", "elements", "gauss-newton", "spring", "broyden", "lbfgs", "adam", "sgd", "langevin", "evolution"
    ] = Field(
        "auto",
        description="auto picks one and the report says which: least-squares where it can, else lbfgs; finite elements where "
        "they are better than features; adam on batches and above five dimensions.",
    )
    features: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = Field(
        None, description="Features per component of least-squares (1 to 10,000); default: grow until the tolerance holds."
    )
    steps: Annotated[int, Field(strict=True, ge=1, le=100_000_000)] | None = Field(
        None,
        description="Most steps that are taken (≥ 1); default 200 of gauss-newton, 4000 of adam, 8000 of langevin, else 2000.",
    )
    tolerance: Positive | None = Field(
        None,
        description="Stop when the relative error estimate is below this (> 0); for least-squares its relative residual, too, "
        "and 1e-6 by default, as for elements.",
    )
    learning_rate: Annotated[Positive, Field(le=100)] | None = Field(
        None,
        description="Step size after the warm-up (0 to 100); default 0.1 of spring, 5e-3 of adam, 1e-3 of sgd.",
    )
    warmup: Natural | Literal["auto"] = Field(
        0,
        description='Steps over which the step size rises linearly from zero (≥ 0), or "auto": from the curvature at the start.',
    )
    scaling: Literal["none", "square-root", "linear", "quadratic"] | None = Field(
        None,
        description="How the step size follows a batch that grows, from learning_rate at the first one up to half of what is "
        "measured to be stable; quadratic: the best on a quadratic model. Default square-root of adam, linear of sgd, none of "
        "others and of growth logarithmic, which cools by it.",
    )
    schedule: Literal["constant", "cosine", "exponential"] | None = Field(
        None, description="Course of the step size after the warm-up; default cosine of adam and spring, constant of others."
    )
    decay: Annotated[Positive, Field(le=1)] = Field(
        0.01, description="Final step size of a schedule as a fraction of learning_rate (0 to 1)."
    )
    clip: Positive | Literal["auto"] | None = Field(
        None,
        description='Longest gradient norm; longer gradients are scaled down. "auto": from the gradients of the last steps. '
        "Default: no clipping.",
    )
    project: Natural | None = Field(
        None,
        description="Steps between solves for the last layer while gradients train the others (≥ 0; 0: none); default 100 of "
        "adam and sgd, none of others.",
    )
    temperature: Positive | Literal["noise"] | None = Field(
        None,
        description="Temperature T of langevin, whose law is exp(−loss/T), in units of the loss (> 0): 1 where the loss is the "
        'negative logarithm of a posterior. "noise": that of the mini-batches alone, T = learning_rate·σ²/(2·size), and nothing '
        "is added. Default: 1e-6 of what a first fit lowers the loss by.",
    )
    precondition: Annotated[bool, Field(strict=True)] = Field(
        True, description="Whether langevin makes the directions that it walks in alike, by the curvature along each."
    )
    population: Annotated[int, Field(strict=True, ge=4, le=100_000)] | None = Field(
        None, description="Candidates per step of evolution (4 to 100,000); default 4 + 3 ln(weights)."
    )
    spread: Positive | None = Field(
        None, description="Standard deviation of evolution's first candidates (> 0); default 0.3 of the initial weights' size."
    )
    momentum: Annotated[Real, Field(ge=0, lt=1)] = Field(0.9, description="Momentum of sgd (0 ≤ momentum < 1).")
    seed: Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)] = Field(
        0, description="Seed of every random choice (0 to 2^32 − 1)."
    )
    precision: Literal["float64", "float32"] = Field("float64", description="Floating-point type of the solve.")
    time_limit: Positive | None = Field(None, description="Seconds after which the solve stops, with its state saved.")
    checkpoint: Positive = Field(60.0, description="Seconds between saved states.")
    assessment: Annotated[int, Field(strict=True, ge=1_000, le=2**40)] | Literal["auto", "full"] = Field(
        "auto",
        description='Points per integral of the closing assessment (≥ 1,000), in drawn cells if a mesh has more; "full": all; '
        '"auto": all of a small mesh or where training sees all, else as many as take at most a third of its time.',
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set
        if "decay" in given and self.schedule in (None, "constant"):
            raise ValueError('decay needs schedule = "cosine" or "exponential"; a constant step size has none')
        for key, method in _OWNED.items():
            if key in given and self.method != method:
                raise ValueError(f'{key} belongs to method "{method}", got method "{self.method}"')
        if self.temperature == "noise" and "precondition" in given and self.precondition:
            raise ValueError('temperature "noise" is that of plain steps; leave out precondition, or give a number')
        for key in ("learning_rate", "warmup", "schedule", "decay", "clip", "scaling"):
            if key in given and self.method == "evolution":
                raise ValueError(f'method "evolution" takes no {key}: it has no gradient, and finds its steps; try spread')
        if "features" in given and self.method not in ("auto", "least-squares"):
            raise ValueError(f'features belongs to method "least-squares", got method "{self.method}"')
        if self.steps is not None and isinstance(self.warmup, int) and self.warmup >= self.steps and self.warmup > 0:
            raise ValueError(f"warmup must be less than steps, got {self.warmup} of {self.steps}")
        return self


class Output(Section):
    """Files of the run folder."""

    directory: Text | None = Field(
        None, description="Run folder, below the problem file or the working directory; default results/<file stem>."
    )
    formats: tuple[Literal["vtu", "xdmf", "csv", "npz"], ...] = Field(("vtu",), description="Formats of the solution field.")
    refine: Annotated[int, Field(strict=True, ge=0, le=4)] = Field(0, description="Refinements of the fields' mesh, 0 to 4.")

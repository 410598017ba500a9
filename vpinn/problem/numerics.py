"""The sections of a problem file that say how the problem is solved."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vpinn.problem.section import Count, Natural, Positive, Real, Section, Text

Width = Annotated[int, Field(strict=True, ge=1, le=1024)]


class Network(Section):
    """The neural network that stands for the unknowns."""

    layers: tuple[Width, ...] = Field(
        (30, 30, 30), min_length=1, max_length=20, description="Width of each hidden layer, 1 to 1024."
    )
    activation: Literal["tanh", "sin", "swish", "softplus"] = Field(
        "tanh", description="Activation; smooth, since derivatives are taken."
    )
    enrich: tuple[Text, ...] = Field(
        (),
        max_length=100,
        description="Extra trial functions of every scalar component, expressions of the coordinates; coefficients are found.",
    )


class TestSpace(Section):
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


_DRAWN = ("sampler", "allocation", "strata", "strata_count", "replacement")
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
        "logarithmic, b ln(k + e) in step k, is simulated annealing. Default none for a number.",
    )
    threshold: Positive | None = Field(
        None,
        description="Noise of a batch's gradient over its norm that the norm test allows, √(tr Σ/b)/‖g‖ (> 0); default 3, of "
        "gauss-newton, which measures both in its own norm, 1.",
    )
    largest: Count | None = Field(
        None, description="Most points of a batch that grows; default all of gauss-newton, 16,384 of others."
    )
    finish: Annotated[Real, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of the steps, at the end, that see all points (0 ≤ finish < 1)."
    )
    sampler: Literal["uniform", "stratified", "antithetic", "sobol", "importance", "cells"] = Field(
        "stratified", description="How a batch is drawn; every one is unbiased. cells takes all points of drawn cells."
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set
        if self.size == "full" and (self.growth not in (None, "none") or self.finish):
            raise ValueError('growth and finish are for mini-batches; give a size, a number or "auto"')
        if "threshold" in given and self.growth != "norm-test":
            raise ValueError(f'threshold belongs to growth "norm-test", got growth "{self.growth or "none"}"')
        if self.largest is not None and self.growth in (None, "none") and self.size != "auto":
            raise ValueError("largest bounds a batch that grows; choose a growth")
        if self.largest is not None and isinstance(self.size, int) and self.largest < self.size:
            raise ValueError(f"largest must be size or more, got {self.largest} for a size of {self.size}")
        for key in ("allocation", "strata"):
            if key in given and self.sampler != "stratified":
                raise ValueError(f'{key} belongs to sampler "stratified", got sampler "{self.sampler}"')
        if "strata_count" in given and (self.sampler not in ("stratified", "importance") or self.strata in ("cells", "tags")):
            raise ValueError('strata_count belongs to strata "blocks", "residual" or "gradient", or to sampler "importance"')
        if "replacement" in given and self.sampler != "uniform":
            raise ValueError(f'replacement belongs to sampler "uniform", got sampler "{self.sampler}"')
        if self.size == "full" and (drawn := [key for key in _DRAWN if key in given]):
            raise ValueError(f'{drawn[0]} says how mini-batches are drawn, but size is "full"; give a number, or leave it out')
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
        "auto", "least-squares", "gauss-newton", "spring", "broyden", "lbfgs", "adam", "sgd", "langevin", "evolution"
    ] = Field(
        "auto",
        description="auto picks one and the report says which: least-squares where it can, else lbfgs, on batches adam.",
    )
    features: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = Field(
        None, description="Features per component of least-squares (1 to 10,000); default: grow until the tolerance holds."
    )
    steps: Annotated[int, Field(strict=True, ge=1, le=100_000_000)] | None = Field(
        None, description="Most steps that are taken (≥ 1); default 200 of gauss-newton, 8000 of langevin, 2000 of others."
    )
    tolerance: Positive | None = Field(
        None, description="Stop when the relative error estimate is below this (> 0); for least-squares, its relative residual."
    )
    learning_rate: Annotated[Positive, Field(le=100)] | None = Field(
        None,
        description="Step size after the warm-up (0 to 100); default 0.1 of spring, 1e-3 of adam and sgd. Others find their own.",
    )
    warmup: Natural | Literal["auto"] = Field(
        0,
        description='Steps over which the step size rises linearly from zero (≥ 0), or "auto": from the curvature at the start.',
    )
    scaling: Literal["none", "square-root", "linear"] | None = Field(
        None,
        description="How the step size follows a batch that grows, from learning_rate at the first one; default "
        "square-root of adam, linear of sgd, none of others.",
    )
    schedule: Literal["constant", "cosine", "exponential"] | None = Field(
        None, description="Course of the step size after the warm-up; default cosine of spring, constant of others."
    )
    decay: Annotated[Positive, Field(le=1)] = Field(
        0.01, description="Final step size of a schedule as a fraction of learning_rate (0 to 1)."
    )
    clip: Positive | Literal["auto"] | None = Field(
        None,
        description='Longest gradient norm; longer gradients are scaled down. "auto": from the gradients of the last steps. '
        "Default: no clipping.",
    )
    temperature: Positive = Field(1e-6, description="Temperature of langevin in units of the loss (> 0).")
    precondition: Annotated[bool, Field(strict=True)] = Field(True, description="Whether langevin takes Adam's scales.")
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set
        if "decay" in given and self.schedule in (None, "constant"):
            raise ValueError('decay needs schedule = "cosine" or "exponential"; a constant step size has none')
        for key, method in _OWNED.items():
            if key in given and self.method != method:
                raise ValueError(f'{key} belongs to method "{method}", got method "{self.method}"')
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
    refine: Annotated[int, Field(strict=True, ge=0, le=4)] = Field(
        0, description="Refinements of the mesh that fields are written on, 0 to 4."
    )

"""The sections of a problem file that say how the problem is solved: test space, quadrature, solver.

Their descriptions are the user's documentation (``vpinn schema``).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vpinn.problem.section import Added, Natural, Positive, Real, Section


class TestSpaceSection(Section):
    """Test functions of a weak form: finite elements on the mesh. Least squares also tests the first variation of an energy."""

    __test__ = False  # no test case, whatever pytest reads into the name

    kind: Literal["conforming", "bubbles"] = Field(
        "conforming",
        description="conforming: continuous across cells; bubbles: zero on all facets, as in hp-VPINNs, which cannot detect "
        "jumps of the flux between cells.",
    )
    degree: Annotated[int, Field(strict=True, ge=1, le=10)] | None = Field(
        None, description="Polynomial degree of the elements, 1 to 10; by default chosen from the mesh and the network."
    )


class Quadrature(Section):
    """Points and weights that turn integrals into sums."""

    rule: Literal["auto", "gauss", "monte-carlo", "sobol", "stochastic-gauss"] = Field(
        "auto",
        description="auto: Gauss rules on the cells of a mesh, Sobol points on a hypercube. stochastic-gauss: random nodes in "
        "each cell, unbiased for every integrand and exact for cubics (on triangles and tetrahedra for linear functions).",
    )
    degree: Annotated[int, Field(strict=True, ge=1, le=30)] | None = Field(
        None,
        description="Polynomial degree that a Gauss rule integrates exactly on a cell, 1 to 30; by default chosen from the form.",
    )
    points: Annotated[int, Field(strict=True, ge=1, le=10**15)] | None = Field(
        None, description="Number of Monte Carlo or Sobol points on a hypercube; by default chosen from the dimension."
    )
    refine: Annotated[int, Field(strict=True, ge=0, le=20)] = Field(
        0, description="How often every cell is halved before the rule is applied, 0 to 20; the parts are not stored."
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


_OWNED = {
    "momentum": "sgd",
    "temperature": "langevin",
    "precondition": "langevin",
    "population": "evolution",
    "spread": "evolution",
}
"""Key of ``[solver]`` → the only method that takes it."""


TORCH = tuple(
    f"torch.optim.{name}" for name in ("Adadelta", "Adagrad", "Adamax", "AdamW", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop")
)
"""Optimisers of torch that step along one gradient."""


class Solver(Section):
    """The method that solves the problem, and its settings."""

    method: (
        Literal[
            "auto",
            "least-squares",
            "march",
            "elements",
            "reduced",
            "gauss-newton",
            "spring",
            "broyden",
            "lbfgs",
            "adam",
            "sgd",
            "langevin",
            "evolution",
            "reptile",
            "maml",
        ]
        | Annotated[str, Added("methods", TORCH)]
    ) = Field(
        "auto",
        description="auto chooses and the report says what: least-squares where it is possible, else lbfgs; finite elements "
        "where they are better than random features; adam with mini-batches and above five dimensions; march with domain.time; "
        "reduced with [parameters]. reptile and maml learn from members of a family, see [learn] and `vpinn learn`.",
    )
    features: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = Field(
        None, description="Number of features per component of least-squares (1 to 10,000); default: as many as tolerance needs."
    )
    steps: Annotated[int, Field(strict=True, ge=1, le=100_000_000)] | None = Field(
        None,
        description="Largest number of steps (≥ 1); default 200 for gauss-newton, 4000 for adam, 8000 for langevin, else 2000.",
    )
    tolerance: Positive | None = Field(
        None,
        description="Stop when the relative error estimate is below this (> 0); for least-squares also its relative residual. "
        "Default 1e-6 for least-squares, elements and march; none for other methods.",
    )
    learning_rate: Annotated[Positive, Field(le=100)] | None = Field(
        None,
        description="Step size after the warm-up (> 0, ≤ 100); default 0.1 for spring, 5e-3 for adam, 1e-3 for sgd.",
    )
    warmup: Natural | Literal["auto"] = Field(
        0,
        description='Steps in which the step size rises linearly from zero (≥ 0); "auto": from the curvature at the start.',
    )
    scaling: Literal["none", "square-root", "linear", "quadratic"] | None = Field(
        None,
        description="How the step size follows the batch size, from learning_rate at the first batch up to half of the largest "
        "stable step measured; quadratic: best on a quadratic model. Default square-root for adam, linear for sgd, none for "
        "other methods and for growth logarithmic, which needs a constant step size.",
    )
    schedule: Literal["constant", "cosine", "exponential"] | None = Field(
        None, description="Step size after the warm-up; default cosine for adam and spring, constant for other methods."
    )
    decay: Annotated[Positive, Field(le=1)] = Field(
        0.01, description="Final step size of a schedule as a fraction of learning_rate (> 0, ≤ 1)."
    )
    clip: Positive | Literal["auto"] | None = Field(
        None,
        description='Largest norm of a gradient (> 0); larger gradients are scaled down to it. "auto": chosen from the gradients '
        "of the last steps. Default: no clipping.",
    )
    project: Natural | None = Field(
        None,
        description="Number of steps after which the last layer is solved for again (≥ 0; 0: never); default 100 for adam and "
        "sgd, never for other methods.",
    )
    temperature: Positive | Literal["noise"] | None = Field(
        None,
        description="Temperature T of langevin, which samples the density exp(−loss/T), in units of the loss (> 0); 1 if the "
        'loss is the negative logarithm of a posterior. "noise": the temperature of mini-batch noise alone, '
        "T = learning_rate·σ²/(2·size), without added noise. Default: 1e-6 of the decrease of the loss in a first fit.",
    )
    precondition: Annotated[bool, Field(strict=True)] = Field(
        True, description="Whether langevin scales the directions in which it samples by the curvature along each."
    )
    population: Annotated[int, Field(strict=True, ge=4, le=100_000)] | None = Field(
        None, description="Candidates per step of evolution (4 to 100,000); default 4 + 3 ln(number of weights)."
    )
    spread: Positive | None = Field(
        None, description="Standard deviation of evolution's first candidates (> 0); default 0.3 times the size of the weights."
    )
    momentum: Annotated[Real, Field(ge=0, lt=1)] = Field(0.9, description="Momentum of sgd (0 ≤ momentum < 1).")
    seed: Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)] = Field(
        0, description="Seed of every random choice (0 to 2^32 − 1)."
    )
    precision: Literal["float64", "float32"] = Field("float64", description="Floating-point type of the computation.")
    time_limit: Positive | None = Field(None, description="Seconds after which the run stops and saves its state; default: none.")
    checkpoint: Positive = Field(60.0, description="Seconds between checkpoints.")
    assessment: Annotated[int, Field(strict=True, ge=1_000, le=2**40)] | Literal["auto", "full"] = Field(
        "auto",
        description='Points per integral of the closing assessment (≥ 1,000), taken in drawn cells if the mesh has more; "full": '
        'all points; "auto": all points of a small mesh or if training sees all, else at most a third of the training time.',
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
                raise ValueError(f'method "evolution" takes no {key}: it adapts its steps itself; set spread instead')
        if "features" in given and self.method not in ("auto", "least-squares", "march"):
            raise ValueError(f'features belongs to method "least-squares", got method "{self.method}"')
        if self.steps is not None and isinstance(self.warmup, int) and self.warmup >= self.steps and self.warmup > 0:
            raise ValueError(f"warmup must be less than steps, got {self.warmup} of {self.steps}")
        return self

"""The interface of methods that take steps, (θ, state, closure) → (θ, state, J), with gradient descent and Adam.

A method is an immutable object. What changes from step to step is its state, a dictionary of tensors that `Method.step` takes
and returns; rolling back and resuming are assignments of it. `Closure` checks every value of J and ∇J, because a single
non-finite one would leave the state of a quasi-Newton method finite and wrong.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from vpinn.objective import Curvature
from vpinn.placement import HOST
from vpinn.trial import LAYERS

State: TypeAlias = dict[str, Tensor]
"""Named tensors on which later steps depend."""


def _no_curvature(theta: Tensor) -> Curvature:
    raise NotImplementedError("this closure has no curvature")


def number(value: float) -> Tensor:
    """Return a number as a tensor, to be an entry of a state."""
    return torch.tensor(value, dtype=torch.float64, device=HOST)


def _no_candidates(thetas: Tensor) -> Tensor:
    raise NotImplementedError("this closure compares no parameters")


class NonFiniteError(ArithmeticError):
    """The loss, its gradient or the parameters are not finite, or the loss is far too high; the message names which.

    Attributes:
        value: value of the loss where it is finite but too high, else None.
    """

    def __init__(self, what: str, value: float | None = None) -> None:
        super().__init__(what)
        self.value = value


@dataclass
class Closure:
    """J and ∇J on the points of one step, checked and clipped, with a record for the history.

    Attributes:
        evaluate: θ [size] → J, ∇J [size].
        clip: largest gradient norm > 0, to which longer gradients are scaled down; None: no clipping.
        curvature: θ → curvature of J, for methods that use it.
        candidates: parameters [k, size] → J of each [k], for methods that use no gradient.
        fresh: draws another batch and returns θ → J, ∇J of it; None where steps use all points.
        own: θ → J and this worker's part of ∇J, whose sum over all workers is ∇J.
        exchange: this worker's part of ∇J → ∇J from what all workers send, for the first evaluation; None: the exact sum.
        evaluations: number of evaluations so far.
        gradient_norm: norm of the gradient at the first evaluation, before clipping.
        clipped: whether the gradient of the first evaluation was clipped.
        gradient: gradient at the first evaluation, before clipping [size].
    """

    evaluate: Callable[[Tensor], tuple[float, Tensor]]
    clip: float | None = None
    curvature: Callable[[Tensor], Curvature] = _no_curvature
    candidates: Callable[[Tensor], Tensor] = _no_candidates
    fresh: Callable[[], Callable[[Tensor], tuple[float, Tensor]]] | None = None
    own: Callable[[Tensor], tuple[float, Tensor]] | None = None
    exchange: Callable[[Tensor], Tensor] | None = None
    evaluations: int = 0
    gradient_norm: float = math.nan
    clipped: bool = False
    gradient: Tensor | None = None

    def __call__(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return J and the clipped ∇J [size].

        Raises:
            NonFiniteError: one of them is not finite.
        """
        if self.exchange is None or self.own is None or self.evaluations:
            value, gradient = self.evaluate(theta)
        else:
            value, part = self.own(theta)
            gradient = self.exchange(part)
        norm = float(torch.linalg.vector_norm(gradient))
        if not math.isfinite(value):
            raise NonFiniteError("loss")
        if not math.isfinite(norm):
            raise NonFiniteError("gradient")
        clipped = self.clip is not None and norm > self.clip
        if not self.evaluations:
            self.gradient_norm = norm
            self.clipped = clipped
            self.gradient = gradient
        self.evaluations += 1
        return value, gradient * (self.clip / norm) if clipped and self.clip else gradient

    def compare(self, thetas: Tensor) -> Tensor:
        """Return J [k] in float64 of parameters [k, size], without a check for non-finite values; counts as k evaluations."""
        self.evaluations += len(thetas)
        return self.candidates(thetas)


class Method(ABC):
    """A way to take one step.

    Attributes:
        name: name in problem files.
        full: whether every step needs all points.
        drawn: whether every step needs a mini-batch, and an objective that is a sum of squares.
        curved: whether it uses the curvature of J, on one batch where a step has several.
        judged: whether its state contains the "noise" of the last batch, measured on the next one.
        blind: whether it uses values of J only.
        double: whether it needs float64.
        most: most weights for which its matrices fit into memory; None: it has no such matrices.
        settles: whether a run ends when its steps on all points hardly lower J (see ``stagnation``).
        descends: whether each step lowers J at the points that it uses, by a search if necessary.
        learning_rate: default step size; None: the method chooses the length of its steps itself.
        course: default course of the step size, one of ``COURSES``.
        steps: default length of a run.
        scaling: default rule by which the step size follows the size of the batch, one of ``SCALINGS``.
        remedy: advice to the user if training diverges.
        project: default number of steps between solves for the last layer; 0: none.
        layers: default widths of the network's hidden layers; small where the method has matrices of all weights.
    """

    name: ClassVar[str]
    full: ClassVar[bool] = False
    drawn: ClassVar[bool] = False
    curved: ClassVar[bool] = False
    judged: ClassVar[bool] = False
    blind: ClassVar[bool] = False
    settles: ClassVar[bool] = False
    descends: ClassVar[bool] = False
    double: ClassVar[bool] = False
    most: ClassVar[int | None] = None
    learning_rate: ClassVar[float | None] = 1e-3
    course: ClassVar[str] = "constant"
    steps: ClassVar[int] = 2000
    scaling: ClassVar[str] = "none"
    project: ClassVar[int] = 0
    layers: ClassVar[tuple[int, ...]] = LAYERS
    remedy: ClassVar[str] = "lower solver.learning_rate, raise solver.warmup or set solver.clip"

    def stability(self, squares: Tensor) -> tuple[float, Tensor]:
        """Return c and scales P [size] such that steps up to c/λ_max(P^½HP^½) are stable for a quadratic with Hessian H.

        Args:
            squares: mean squares of the gradient's entries [size].
        """
        return 2.0, torch.ones_like(squares)

    def bath(self, state: State) -> tuple[float, Tensor] | None:
        """Return c and scales P [size] such that steps are on average θ ← θ − cηPg; None where steps are of another kind.

        The noise of batch gradients then acts as a heat bath of temperature cη tr(PΣ)/(2b·size), averaged over the weights.

        Args:
            state: state after a step.
        """
        return None

    def squares(self, state: State) -> Tensor | None:
        """Return the mean squares of the gradient's entries [size] from a state, None where the method does not record them."""
        return None

    @abstractmethod
    def initial(self, theta: Tensor) -> State:
        """Return the state before the first step from the parameters θ [size]."""

    def restarted(self, theta: Tensor, state: State) -> State:
        """Return the state for parameters θ [size] that were not reached by the steps from ``state``."""
        return self.initial(theta)

    def searches(self, state: State) -> bool:
        """Return whether the next step searches for lower J; False for a step of a Markov chain."""
        return True

    @abstractmethod
    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step.

        Args:
            theta: parameters [size]; not changed.
            state: state after the step before; not changed.
            closure: J and ∇J on the points of this step.
            learning_rate: step size > 0.
            same: whether the closure is the function of the step before, as on all points.

        Returns:
            New parameters [size], new state, and J at the old parameters.

        Raises:
            NonFiniteError: J or ∇J is not finite.
        """


@dataclass(frozen=True)
class Sgd(Method):
    """Gradient descent with heavy-ball momentum (Polyak 1964): p ← μp + g, θ ← θ − ηp.

    Attributes:
        momentum: μ, 0 ≤ μ < 1, dimensionless; 0 is plain descent.
    """

    momentum: float = 0.9
    name = "sgd"
    scaling = "linear"
    project = 100

    def stability(self, squares: Tensor) -> tuple[float, Tensor]:
        """Return 2(1 + μ) and ones, see ``Method.stability``."""
        return 2.0 * (1.0 + self.momentum), torch.ones_like(squares)

    def bath(self, state: State) -> tuple[float, Tensor]:
        """Return 1/(1 − μ), the sum of the weights with which a gradient enters this and later steps, and ones."""
        return 1.0 / (1.0 - self.momentum), torch.ones_like(state["velocity"])

    def initial(self, theta: Tensor) -> State:
        """Return a velocity of zero."""
        return {"velocity": torch.zeros_like(theta)}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step."""
        value, gradient = closure(theta)
        velocity = self.momentum * state["velocity"] + gradient
        return theta - learning_rate * velocity, {"velocity": velocity}, value


@dataclass(frozen=True)
class Adam(Method):
    """Adam (Kingma & Ba 2015): step along the mean gradient divided by the root of the mean squared gradient.

    Attributes:
        beta1: decay of the mean gradient, 0 ≤ β₁ < 1.
        beta2: decay of the mean squared gradient, 0 ≤ β₂ < 1.
        epsilon: added to the root, ≥ 0, in units of the gradient.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    name = "adam"
    learning_rate = 5e-3
    course = "cosine"
    steps = 4000
    scaling = "square-root"
    project = 100

    def stability(self, squares: Tensor) -> tuple[float, Tensor]:
        """Return 2(1 + β₁)/(1 − β₁) and 1/(√v + ε), for converged averages v (Cohen et al. 2022, arXiv 2207.14484)."""
        return 2.0 * (1.0 + self.beta1) / (1.0 - self.beta1), 1.0 / (squares.sqrt() + self.epsilon)

    def bath(self, state: State) -> tuple[float, Tensor]:
        """Return 1, the sum of the weights of gradients in their mean, and 1/(√v̂ + ε)."""
        squares = state["square"] / (1.0 - self.beta2 ** int(state["count"]))
        return 1.0, 1.0 / (squares.sqrt() + self.epsilon)

    def squares(self, state: State) -> Tensor | None:
        """Return v without the bias of its start, None before the first step."""
        return state["square"] / (1 - self.beta2 ** int(state["count"])) if int(state["count"]) else None

    def initial(self, theta: Tensor) -> State:
        """Return zero moments and a count of zero steps."""
        zero = torch.zeros_like(theta)
        return {"mean": zero, "square": zero, "count": torch.zeros((), dtype=torch.int64, device=HOST)}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step."""
        value, gradient = closure(theta)
        count = int(state["count"]) + 1
        mean = torch.lerp(state["mean"], gradient, 1 - self.beta1)
        square = torch.lerp(state["square"], gradient * gradient, 1 - self.beta2)
        root = square.sqrt().div_(math.sqrt(1 - self.beta2**count)).add_(self.epsilon)
        new = torch.addcdiv(theta, mean, root, value=-learning_rate / (1 - self.beta1**count))
        return new, {"mean": mean, "square": square, "count": state["count"] + 1}, value

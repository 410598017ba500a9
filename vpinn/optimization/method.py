"""First-order and quasi-Newton methods behind one contract: (θ, state, closure) → (θ, state, J).

A method is a frozen object; what changes is its state, a dictionary of tensors that is passed in and handed back, so
that rolling back and resuming are assignments. Every closure is checked: one non-finite value would leave a
quasi-Newton state finite and wrong.
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
"""Named tensors that a later step depends on."""


def _no_curvature(theta: Tensor) -> Curvature:
    raise NotImplementedError("this closure has no curvature")


def number(value: float) -> Tensor:
    """Return a number as an entry of a state."""
    return torch.tensor(value, dtype=torch.float64, device=HOST)


def _no_candidates(thetas: Tensor) -> Tensor:
    raise NotImplementedError("this closure compares no parameters")


class NonFiniteError(ArithmeticError):
    """The loss, its gradient or the parameters are not finite, or the loss has a value far too high; the message says which.

    Attributes:
        value: of the loss, None where it, the gradient or the parameters are not finite.
    """

    def __init__(self, what: str, value: float | None = None) -> None:
        super().__init__(what)
        self.value = value


@dataclass
class Closure:
    """J and ∇J of one step's batch, checked and clipped, with a record for the history.

    Attributes:
        evaluate: θ → J, ∇J.
        clip: longest gradient norm > 0; longer ones are scaled down to it. None: never.
        curvature: θ → rows of J's second derivative, for methods that use it.
        candidates: parameters [k, size] → J of each [k], for methods that use no gradient.
        fresh: draws another batch and returns its J and ∇J; None where steps see all points.
        evaluations: calls so far.
        gradient_norm: of the first call, before clipping.
        clipped: whether the first call was clipped.
        gradient: of the first call, before clipping.
    """

    evaluate: Callable[[Tensor], tuple[float, Tensor]]
    clip: float | None = None
    curvature: Callable[[Tensor], Curvature] = _no_curvature
    candidates: Callable[[Tensor], Tensor] = _no_candidates
    fresh: Callable[[], Callable[[Tensor], tuple[float, Tensor]]] | None = None
    evaluations: int = 0
    gradient_norm: float = math.nan
    clipped: bool = False
    gradient: Tensor | None = None

    def __call__(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return J and the clipped ∇J.

        Raises:
            NonFiniteError: one of them is not finite.
        """
        value, gradient = self.evaluate(theta)
        norm = float(torch.linalg.vector_norm(gradient))
        if not math.isfinite(value):
            raise NonFiniteError("loss")
        if not math.isfinite(norm):
            raise NonFiniteError("gradient")
        clipped = self.clip is not None and norm > self.clip
        if not self.evaluations:
            self.gradient_norm, self.clipped, self.gradient = norm, clipped, gradient
        self.evaluations += 1
        return value, gradient * (self.clip / norm) if clipped and self.clip else gradient

    def compare(self, thetas: Tensor) -> Tensor:
        """Return J [k] in float64 of parameters [k, size], as it is where it is not finite; k evaluations."""
        self.evaluations += len(thetas)
        return self.candidates(thetas)


class Method(ABC):
    """A way to take one step.

    Attributes:
        name: in problem files.
        full: whether every step needs all points.
        drawn: whether every step needs a mini-batch, and squares.
        curved: whether it takes the curvature of J, of one batch where there are several.
        judged: whether its state tells the "noise" of the last drawn batch, from what the next one makes of its step.
        blind: whether it takes values of J only.
        double: whether it works in float64 only.
        most: weights up to which its matrices fit memory; None: it has none.
        settles: whether a run ends where its steps on all points gain next to nothing (see ``stagnation``).
        descends: whether its steps lower J at the points that they see, however far they have to search.
        learning_rate: default step size; None: it finds the length of its steps itself.
        course: default course of the step size.
        steps: default length of a run.
        scaling: default rule by which the step size follows the batch, one of ``SCALINGS``.
        remedy: what to do where it diverges.
        project: default number of steps between solves for the last layer; 0: none.
        layers: default widths of the network's hidden layers; matrices of all weights take few.
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
        """Return c and scales P [size] for which steps up to c/λ_max(P^½HP^½) are stable on a quadratic.

        Args:
            squares: mean squares of the gradient's entries [size].
        """
        return 2.0, torch.ones_like(squares)

    def bath(self, state: State) -> tuple[float, Tensor] | None:
        """Return c and scales P [size] with which steps are, over many of them, θ ← θ − cηPg; None where they are not.

        The noise of batch gradients is then a heat bath of temperature cη tr(PΣ)/(2b·size), the mean over the weights.

        Args:
            state: of a step that was taken.
        """
        return None

    def squares(self, state: State) -> Tensor | None:
        """Return the mean squares of the gradient's entries [size] that a state has gathered, None where it keeps none."""
        return None

    @abstractmethod
    def initial(self, theta: Tensor) -> State:
        """Return the state before the first step from parameters [size]."""

    @abstractmethod
    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step.

        Args:
            theta: parameters [size]; not changed.
            state: of the step before; not changed.
            closure: J and ∇J.
            learning_rate: step size > 0.
            same: whether the closure is that of the step before, as it is without mini-batches.

        Returns:
            new parameters, new state, and J at the old parameters.

        Raises:
            NonFiniteError: a closure gave no finite value.
        """


@dataclass(frozen=True)
class Sgd(Method):
    """Gradient descent with heavy-ball momentum (Polyak 1964): p ← μp + g, θ ← θ − ηp.

    Attributes:
        momentum: μ, 0 ≤ μ < 1.
    """

    momentum: float = 0.9
    name = "sgd"
    scaling = "linear"
    project = 100

    def stability(self, squares: Tensor) -> tuple[float, Tensor]:
        """Return 2(1 + μ) and ones."""
        return 2.0 * (1.0 + self.momentum), torch.ones_like(squares)

    def bath(self, state: State) -> tuple[float, Tensor]:
        """Return 1/(1 − μ), the sum of the weights that steps give a gradient, and ones."""
        return 1.0 / (1.0 - self.momentum), torch.ones_like(state["velocity"])

    def initial(self, theta: Tensor) -> State:
        """Return zero momentum."""
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
    """Adam (Kingma & Ba 2015): step along the mean gradient over the root of the mean squared gradient.

    Attributes:
        beta1: memory of the mean, 0 ≤ β₁ < 1.
        beta2: memory of the square, 0 ≤ β₂ < 1.
        epsilon: added to the root, in units of the gradient.
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
        """Return 2(1 + β₁)/(1 − β₁) and 1/√v: Adam with settled averages (Cohen et al. 2022, arXiv 2207.14484)."""
        return 2.0 * (1.0 + self.beta1) / (1.0 - self.beta1), 1.0 / (squares.sqrt() + self.epsilon)

    def bath(self, state: State) -> tuple[float, Tensor]:
        """Return 1, since the mean gradient's weights sum up to one, and 1/(√v̂ + ε)."""
        squares = state["square"] / (1.0 - self.beta2 ** int(state["count"]))
        return 1.0, 1.0 / (squares.sqrt() + self.epsilon)

    def squares(self, state: State) -> Tensor | None:
        """Return v without the bias of its start, once there is one."""
        return state["square"] / (1 - self.beta2 ** int(state["count"])) if int(state["count"]) else None

    def initial(self, theta: Tensor) -> State:
        """Return zero moments."""
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

"""Weak greedy choice of members: the one with the largest bound is solved next, and its solution joins the reduced space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from vpinn.families.elements import Assembled
from vpinn.families.factors import FormFactors
from vpinn.families.growing import GrowingSpace
from vpinn.families.product import Product
from vpinn.families.reduced import Queried, ReducedSpace
from vpinn.finite_elements import factorise
from vpinn.problem import Parameters

Array = NDArray[np.float64]
MEMBERS = 60
"""Members at most."""
TRAINED = 128
"""Values of the parameters at which bounds are looked at, beside the corners of the box."""
FLOOR = 2.0
"""Bound at the chosen member over that of solved ones, up to which the elements, not the space, limit the bound."""


def sample(parameters: Parameters, count: int, generator: np.random.Generator) -> Array:
    """Return values that fill the box evenly [≥ count, P]: a scrambled Sobol sequence."""
    axes = len(parameters.names)
    powers = int(np.ceil(np.log2(max(count, 2))))
    from scipy.stats import qmc  # slow to import

    return parameters.at(qmc.Sobol(axes, seed=generator).random_base2(powers))


def corners(parameters: Parameters) -> Array:
    """Return the corners of the box [2^P, P]."""
    axes = len(parameters.names)
    return parameters.at((np.arange(2**axes)[:, None] >> np.arange(axes) & 1).astype(np.float64))


@dataclass(frozen=True, eq=False)
class Chosen:
    """A reduced space and how it was found.

    Attributes:
        space: the space.
        functions: its functions on the elements [L + N, size].
        members: values of the parameters that were solved [n, P].
        floor: largest relative bound at the members themselves, which is that of the elements.
        trained: values at which bounds were looked at [S, P].
        answers: solutions at these values in the final space.
    """

    space: ReducedSpace
    functions: Array
    members: Array
    floor: float
    trained: Array
    answers: Queried

    @property
    def relative(self) -> float:
        """Largest relative bound over the trained values."""
        return float(self.answers.relative.max())


@dataclass(frozen=True, eq=False)
class Forms:
    """The form of a family on two levels of elements.

    Attributes:
        parameters: parameters of the family.
        factors: θ_k of its terms.
        coarse: the form on the elements with which members are solved.
        fine: the form on the elements with which residuals are tested.
        product: X of the latter.
        own: X of the former.
    """

    parameters: Parameters
    factors: FormFactors
    coarse: Assembled
    fine: Assembled
    product: Product
    own: Product


def choose(
    forms: Forms,
    trained: Array,
    first: Array,
    tolerance: float,
    generator: np.random.Generator,
    note: Callable[[float], bool],
    coercive: bool | None = None,
) -> Chosen:
    """Return the reduced space of a family.

    Args:
        forms: the family on elements.
        trained: values of the parameters at which bounds are looked at [S, P].
        first: members that are solved in any case [m, P], at least one.
        tolerance: relative bound that is small enough, > 0.
        generator: random numbers of starts of iterations.
        note: called with the largest relative bound after every member; if it returns False, the choice ends.
        coercive: whether θ bounds the stability, as was found on other elements; None: it is found out.

    Raises:
        InputError: the system of a member is singular.
    """
    theta = forms.factors(forms.parameters.center[None])[0][0]
    growing = GrowingSpace(forms.factors, theta, forms.coarse, forms.fine, forms.product, coercive)
    members = list[Array]()
    waiting = list(first)
    while True:
        if waiting:
            value = waiting.pop(0)
        else:
            answers = growing.space.solve(trained)
            value = trained[int(answers.relative.argmax())]
        new = growing.add(*solved(forms, value, growing.coercive, generator))
        members.append(value)
        if waiting:
            continue
        space = growing.space
        answers = space.solve(trained)
        worst = float(answers.relative.max())
        floor = float(space.solve(np.stack(members)).relative.max())
        enough = worst <= max(tolerance, FLOOR * floor)
        if not note(worst) or enough or not new or len(members) >= MEMBERS:
            return Chosen(space, growing.functions, np.stack(members), floor, trained, answers)


def solved(forms: Forms, value: Array, coercive: bool, generator: np.random.Generator) -> tuple[Array, Array | None]:
    """Return the solution of a member minus its lift [size], and its least stable mode [size]; None where θ bounds stability."""
    theta, held = (one[0] for one in forms.factors(value[None]))
    elements = forms.coarse.elements
    found, solve = forms.coarse.solve(theta, held @ elements.lifts if len(held) else np.zeros(elements.mixed.size))
    if coercive:
        return found, None
    transposed = solve if forms.product.energy else factorise(forms.coarse.matrix(theta).T.tocsc())
    mode = np.zeros(elements.mixed.size)
    mode[elements.free] = least_stable(solve, transposed, forms.own.matrix, generator)
    return found, mode


def least_stable(
    solve: Callable[[Array], Array], transposed: Callable[[Array], Array], product: Any, generator: np.random.Generator
) -> Array:
    """Return the function u with the smallest sup_v a(u, v)/(‖u‖ ‖v‖) [free].

    AᵀX⁻¹A u = σ² X u, by Lanczos' method on the inverse.

    Args:
        solve: applies A⁻¹.
        transposed: applies A⁻ᵀ.
        product: X [free, free].
        generator: random numbers of the start.
    """
    size = product.shape[0]
    inverse = LinearOperator((size, size), lambda r: solve(product @ transposed(r)), dtype=np.float64)
    nothing = LinearOperator((size, size), lambda r: r, dtype=np.float64)  # A u itself is not needed by the inverse
    start = generator.standard_normal(size)
    return np.asarray(eigsh(nothing, 1, M=product, sigma=0.0, OPinv=inverse, v0=start, tol=1e-3)[1][:, 0])

"""Beams and plates: forms with second derivatives → equations of fourth order with their natural conditions.

With F(u; v) = ∫ a v + B·∇v + ½ C:∇∇v dx + ∫ g v + G·∇v ds and symmetric C, integration by parts gives

| where | what vanishes |
|---|---|
| inside | a − ∇·B + ½ ∇∇:C |
| on the boundary | the moment ½ n·C·n + G·n |
| on the boundary in 1-D where u is not given | the shear B·n − ½ (∇·C)·n + g |

In more than one dimension u must be given on the whole boundary, so that v and its derivatives along the boundary vanish there
(Timoshenko & Woinowsky-Krieger 1959, ch. 4). Start with `bent`.
"""

# mypy: disable-error-code="no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import ufl
from ufl.core.expr import Expr

from vpinn.domain import BoundaryPart, Inside
from vpinn.errors import InputError
from vpinn.forms import Graph, Integral, build, integrals, split
from vpinn.problem import Condition, Problem, Stated, Strong


def bends(problem: Problem) -> bool:
    """Return whether a weak form, or the variation of an energy, has second derivatives of its test functions."""
    if problem.formulation.pointwise:
        return False
    graph = Graph()
    parts = integrals(problem.variation)
    return any(len(jet.derivative) > 1 for part in parts for jet in split(graph, build(graph, part.integrand)))


def bent(problem: Stated) -> Stated:
    """Return a problem whose form has second derivatives in strong form with natural conditions; other problems unchanged.

    Raises:
        InputError: an unknown has no value on a part of the boundary in more than one dimension, or the form has second
            derivatives on the boundary or integrals over parts of the domain.
    """
    if not bends(problem):
        return problem
    parts = integrals(problem.variation)
    inside = [part for part in parts if part.region is Inside]
    if any(part.tags for part in inside):
        raise InputError("the bending energy has integrals over parts of the domain; it has no equation at every point")
    tagged = {tag for part in parts if part.region is BoundaryPart for tag in part.tags}
    moments = [(problem.tags[tag],) for tag in sorted(tagged)]
    covered = {tag for (tag,) in moments}
    rest = tuple(tag for tag in problem.domain.tags if tag != "all" and tag not in covered)
    if not moments:
        rest = ("all",)
    sides = [*moments, rest] if rest else moments
    equations, conditions = [], list(problem.boundary)
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            interior = _Terms.of(problem, inside, unknown.name, component)
            equations.append(interior.equation)
            for side in sides:
                here = [part for part in parts if part.region is BoundaryPart and _meets(problem, part, side)]
                boundary = _Terms.of(problem, here, unknown.name, component)
                found = interior.moment(problem.symbols.n) + boundary.along(problem.symbols.n)
                conditions += [Condition(side, None, None, None, found, "penalty", None, problem.where("form"))]
                if free := _free(problem, side, unknown.name, component):
                    if problem.domain.dimension > 1:
                        raise InputError(
                            f"{unknown.name} is free on a part of the boundary of a bending energy, where its natural condition "
                            'takes derivatives along the boundary; train with solver.method = "lbfgs"'
                        )
                    found = interior.shear(problem.symbols.n) + boundary.a
                    conditions += [Condition(free, None, None, None, found, "penalty", None, problem.where("form"))]
    return dataclasses.replace(problem, formulation=Strong(tuple(equations)), boundary=tuple(conditions))


def _free(problem: Problem, side: tuple[str, ...], name: str, component: int) -> tuple[str, ...]:
    """Return the tags of a side on which no value of a component is given."""
    given = {tag for c in problem.boundary if c.unknown == name and c.component in (None, component) for tag in c.on}
    if "all" in given:
        return ()
    tags = tuple(tag for tag in problem.domain.tags if tag != "all") if side == ("all",) else side
    return tuple(tag for tag in tags if tag not in given) if tags else side


def _meets(problem: Problem, part: Integral, side: Sequence[str]) -> bool:
    """Return whether an integral over the boundary takes part of a side."""
    return not part.tags or bool({problem.tags[tag] for tag in part.tags} & set(side))


@dataclasses.dataclass(frozen=True)
class _Terms:
    """The coefficients a, B and C of one component of the test functions in a v + B·∇v + ½ C:∇∇v.

    Attributes:
        a: a, scalar.
        b: B [d].
        c: C [d][d], symmetric.
    """

    a: Expr
    b: Sequence[Expr]
    c: Sequence[Sequence[Expr]]

    @classmethod
    def of(cls, problem: Problem, parts: Sequence[Integral], name: str, component: int) -> _Terms:
        """Return the coefficients in a sum of integrands, from its values at the test functions v = 1, x_k and x_k x_l.

        Args:
            problem: the problem.
            parts: integrals whose integrands are added.
            name: unknown of the test function.
            component: component of the test function.
        """
        x, d = problem.symbols.x, problem.domain.dimension
        total = sum((part.integrand for part in parts), ufl.as_ufl(0.0))

        def at(value: Expr) -> Expr:
            given, zero = {}, ufl.as_ufl(0.0)
            for unknown in problem.unknowns:
                entries = [value if (unknown.name, k) == (name, component) else zero for k in range(unknown.components)]
                given[unknown.test] = ufl.as_vector(entries) if unknown.shape else entries[0]
            return ufl.replace(total, given)

        a = at(ufl.as_ufl(1.0))
        b = [at(x[k]) - x[k] * a for k in range(d)]
        c = [[at(x[k] * x[m]) - x[k] * x[m] * a - x[m] * b[k] - x[k] * b[m] for m in range(d)] for k in range(d)]
        return cls(a, b, c)

    @property
    def equation(self) -> Expr:
        """The expression a − ∇·B + ½ ∇∇:C, which vanishes inside the domain."""
        d = range(len(self.b))
        bending = sum(self.c[k][m].dx(k).dx(m) for k in d for m in d)
        return self.a - sum(self.b[k].dx(k) for k in d) + 0.5 * bending

    def moment(self, n: Expr) -> Expr:
        """Return ½ n·C·n."""
        d = range(len(self.b))
        return 0.5 * sum(self.c[k][m] * n[k] * n[m] for k in d for m in d)

    def along(self, n: Expr) -> Expr:
        """Return B·n."""
        return sum(self.b[k] * n[k] for k in range(len(self.b)))

    def shear(self, n: Expr) -> Expr:
        """Return B·n − ½ (∇·C)·n."""
        d = range(len(self.b))
        return self.along(n) - 0.5 * sum(self.c[k][m].dx(m) * n[k] for k in d for m in d)

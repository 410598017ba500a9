"""Separation: a node of an expression graph as a sum of products, one factor of parameters alone and one without parameters.

Σ_k θ_k(μ) g_k(x, u) is what makes integrals of a family cheap: those of g_k are computed once for all values of μ. Start with
``separate``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from vpinn.forms.graph import NUMBER, PRODUCT, SLOT, SUM, Graph, Node, Parameter

MOST = 64
"""Products that a sum is expanded to at most."""
INTEGER_POWERS = 4
"""Highest power of a sum that is expanded."""
Terms = dict[Node, Node]
"""Factor θ of parameters alone → factor without parameters."""


@dataclass(frozen=True)
class Separated:
    """A node as Σ θ · g + Σ rest.

    Attributes:
        terms: θ → g, nodes of parameters alone and nodes without parameters.
        rest: summands that no such products equal.
    """

    terms: Terms
    rest: tuple[Node, ...] = ()


def separate(graph: Graph, node: Node) -> Separated:
    """Return a node as a sum of products of parameters and other things, as far as it is one.

    Args:
        graph: graph of the node; products are added to it.
        node: node to be separated.
    """
    one, known = graph.number(1.0), dict[Node, Separated]()
    kinds = dict[Node, tuple[bool, bool]]()  # whether there are parameters in it, and anything else that varies
    for each in graph.reachable([node]):
        operation, *operands = graph.nodes[each]
        if operation in (NUMBER, SLOT):
            parameter = operation == SLOT and isinstance(operands[0], Parameter)
            kinds[each] = parameter, operation == SLOT and not parameter
        else:
            kinds[each] = any(kinds[i][0] for i in operands), any(kinds[i][1] for i in operands)
        parameters, others = kinds[each]
        if not parameters:
            known[each] = Separated({one: each})
        elif operation == SLOT:
            known[each] = Separated({each: one})
        else:  # sums of parameters are expanded, too: k − 1 → {k: 1, 1: −1}, so that equal factors meet
            found = _separated(graph, operation, operands, known, kinds)
            if found is None or (found.rest and not others):
                found = Separated({}, (each,)) if others else Separated({each: one})
            known[each] = found
    return known[node]


def _separated(
    graph: Graph, operation: str, operands: Sequence[Node], known: dict[Node, Separated], kinds: dict[Node, tuple[bool, bool]]
) -> Separated | None:
    """Return an operation on nodes as a sum of products; None where it is none in any part."""
    parts = [known[i] for i in operands]
    if operation == SUM:
        terms = _sum(graph, [part.terms for part in parts])
        return None if terms is None else Separated(terms, tuple(node for part in parts for node in part.rest))
    if operation == PRODUCT:
        return _product_with_rest(graph, parts, operands)
    if any(part.rest for part in parts):
        return None
    whole = [part.terms for part in parts]
    found: Terms | None = None
    match operation:
        case "where":
            found = _where(graph, operands[0], whole[1:], kinds[operands[0]])
        case "divide" if len(whole[1]) == 1 or not kinds[operands[1]][1]:
            one = graph.number(1.0)
            ((coefficient, factor),) = whole[1].items() if len(whole[1]) == 1 else ((operands[1], one),)
            found = _product(graph, [whole[0], {graph.call("divide", one, coefficient): graph.call("divide", one, factor)}])
        case "power" if graph.is_number(operands[1]) and graph.value(operands[1]).is_integer():
            found = _power(graph, whole[0], int(graph.value(operands[1])))
        case "abs" if len(whole[0]) == 1:
            ((coefficient, factor),) = whole[0].items()
            found = {graph.call("abs", coefficient): graph.call("abs", factor)}
        case "exp":
            found = _exponential(graph, whole[0])
    return None if found is None else Separated(found)


def _product_with_rest(graph: Graph, parts: Sequence[Separated], operands: Sequence[Node]) -> Separated | None:
    """Return a product; where one factor has a rest, this times the other factors is the rest of the product."""
    terms = _product(graph, [part.terms for part in parts])
    mixed = [k for k, part in enumerate(parts) if part.rest]
    if terms is None or len(mixed) > 1 or (mixed and not terms):
        return None
    rest = [graph.multiply([node, *operands[:k], *operands[k + 1 :]]) for k in mixed for node in parts[k].rest]
    return Separated(terms, tuple(rest))


def _sum(graph: Graph, parts: Iterable[Terms]) -> Terms | None:
    gathered = dict[Node, list[Node]]()
    for terms in parts:
        for coefficient, factor in terms.items():
            gathered.setdefault(coefficient, []).append(factor)
    found = {coefficient: graph.add(factors) for coefficient, factors in gathered.items()}
    found = {coefficient: factor for coefficient, factor in found.items() if not graph.is_zero(factor)}
    return found if len(found) <= MOST else None


def _product(graph: Graph, parts: Sequence[Terms]) -> Terms | None:
    if math.prod(map(len, parts)) > MOST:
        return None
    products = []
    for chosen in product(*(terms.items() for terms in parts)):
        coefficients, factors = zip(*chosen, strict=True)
        products.append({graph.multiply(coefficients): graph.multiply(factors)})
    return _sum(graph, products)


def _power(graph: Graph, base: Terms, exponent: int) -> Terms | None:
    if len(base) == 1:
        ((coefficient, factor),) = base.items()
        number = graph.number(float(exponent))
        return {graph.call("power", coefficient, number): graph.call("power", factor, number)}
    return _product(graph, [base] * exponent) if 1 <= exponent <= INTEGER_POWERS else None


def _exponential(graph: Graph, exponent: Terms) -> Terms | None:
    """Return exp(a(μ) + b(x)) as exp(a) exp(b)."""
    coefficients, factors = list[Node](), list[Node]()
    for coefficient, factor in exponent.items():
        if graph.is_number(factor):
            coefficients.append(graph.multiply([coefficient, factor]))
        elif graph.is_number(coefficient):
            factors.append(graph.multiply([coefficient, factor]))
        else:
            return None
    return {graph.call("exp", graph.add(coefficients)): graph.call("exp", graph.add(factors))}


def _where(graph: Graph, condition: Node, sides: Sequence[Terms], kind: tuple[bool, bool]) -> Terms | None:
    """Return the terms of a choice whose condition depends on parameters alone, or on other things alone."""
    parameters, others = kind
    if parameters and others:
        return None
    zero, parts = graph.number(0.0), list[Terms]()
    for first, side in zip((True, False), sides, strict=True):
        for coefficient, factor in side.items():
            here = coefficient if parameters else factor
            chosen = graph.call("where", condition, *((here, zero) if first else (zero, here)))
            parts.append({chosen: factor} if parameters else {coefficient: chosen})
    return _sum(graph, parts)

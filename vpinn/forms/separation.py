"""Separation: a node of an expression graph as a sum of products, one factor of parameters alone and one without parameters.

Σ_k θ_k(μ) g_k(x, u) is what makes integrals of a family cheap: those of g_k are computed once for all values of μ. Start with
``separate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from vpinn.forms.graph import NUMBER, PRODUCT, SLOT, SUM, Graph, Node, Parameter

MOST = 64
"""Products that a sum is expanded to at most."""
INTEGER_POWERS = 4
"""Highest power of a sum that is expanded."""
Terms = dict[Node, Node]
"""Factor θ of parameters alone → factor without parameters."""


def separate(graph: Graph, node: Node) -> tuple[Terms, list[Node]]:
    """Return a node as Σ θ · g + Σ rest.

    Args:
        graph: of the node; products are added to it.
        node: to be separated.

    Returns:
        θ → g, nodes of parameters alone and nodes without parameters; and the summands that no such products equal exactly.
    """
    known = _known(graph, node)
    found, rest = known[node], list[Node]()
    if found is None and graph.nodes[node][0] == SUM:
        parts = [(operand, known[operand]) for operand in graph.nodes[node][1:]]
        rest = [operand for operand, terms in parts if terms is None]
        found = _sum(graph, [terms for _, terms in parts if terms is not None])
    return (found, rest) if found is not None else ({}, [node])


def _known(graph: Graph, root: Node) -> dict[Node, Terms | None]:
    """Return the terms of all nodes that one depends on; None of those that are no such sums."""
    one, known = graph.number(1.0), dict[Node, Terms | None]()
    kinds = dict[Node, tuple[bool, bool]]()  # whether there are parameters in it, and anything else that varies
    for node in graph.reachable([root]):
        operation, *operands = graph.nodes[node]
        if operation == NUMBER:
            kinds[node] = False, False
        elif operation == SLOT:
            kinds[node] = (isinstance(operands[0], Parameter), not isinstance(operands[0], Parameter))
        else:
            kinds[node] = (any(kinds[i][0] for i in operands), any(kinds[i][1] for i in operands))
        parameters, others = kinds[node]
        if not parameters:
            known[node] = {one: node}
        elif operation == SLOT:
            known[node] = {node: one}
        else:  # sums of parameters are expanded, too: k − 1 → {k: 1, 1: −1}, so that equal factors meet
            found = _separated(graph, operation, operands, known, kinds)
            known[node] = {node: one} if found is None and not others else found
    return known


def _separated(
    graph: Graph,
    operation: str,
    operands: Sequence[Node],
    known: dict[Node, Terms | None],
    kinds: dict[Node, tuple[bool, bool]],
) -> Terms | None:
    """Return the terms of an operation on nodes that depends on parameters and on other things."""
    parts = [known[i] for i in operands]
    if operation == "where":
        return _where(graph, operands[0], parts[1:], kinds[operands[0]])
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts):
        return None
    if operation in (SUM, PRODUCT):
        return _sum(graph, whole) if operation == SUM else _product(graph, whole)
    match operation:
        case "divide" if len(whole[1]) == 1:
            ((coefficient, factor),) = whole[1].items()
            one = graph.number(1.0)
            return _product(graph, [whole[0], {graph.call("divide", one, coefficient): graph.call("divide", one, factor)}])
        case "power" if graph.is_number(operands[1]) and graph.value(operands[1]).is_integer():
            return _power(graph, whole[0], int(graph.value(operands[1])))
        case "abs" if len(whole[0]) == 1:
            ((coefficient, factor),) = whole[0].items()
            return {graph.call("abs", coefficient): graph.call("abs", factor)}
        case "exp":
            return _exponential(graph, whole[0])
    return None


def _sum(graph: Graph, parts: Iterable[Terms]) -> Terms | None:
    gathered = dict[Node, list[Node]]()
    for terms in parts:
        for coefficient, factor in terms.items():
            gathered.setdefault(coefficient, []).append(factor)
    found = {coefficient: graph.add(factors) for coefficient, factors in gathered.items()}
    found = {coefficient: factor for coefficient, factor in found.items() if not _zero(graph, factor)}
    return found if len(found) <= MOST else None


def _product(graph: Graph, parts: Sequence[Terms]) -> Terms | None:
    count = 1
    for terms in parts:
        count *= len(terms)
    if count > MOST:
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


def _where(graph: Graph, condition: Node, sides: Sequence[Terms | None], kind: tuple[bool, bool]) -> Terms | None:
    """Return the terms of a choice whose condition depends on parameters alone, or on other things alone."""
    parameters, others = kind
    if (parameters and others) or any(side is None for side in sides):
        return None
    zero, parts = graph.number(0.0), list[Terms]()
    for first, side in zip((True, False), sides, strict=True):
        for coefficient, factor in (side or {}).items():
            here = coefficient if parameters else factor
            chosen = graph.call("where", condition, *((here, zero) if first else (zero, here)))
            parts.append({chosen: factor} if parameters else {coefficient: chosen})
    return _sum(graph, parts)


def _zero(graph: Graph, node: Node) -> bool:
    return graph.is_number(node) and graph.value(node) == 0.0
